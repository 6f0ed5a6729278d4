"""Convolutions with fixed weights, stored once in the precision that they compute in."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

#: Kernels of up to this many elements are constants of the graph: oneDNN then keeps them in its own layout instead of
#: reordering them at every step (InceptionV3 4 % faster). A graph holds several copies of a constant, so the large ones
#: of VGG, which gain nothing, stay variables.
MAX_CONSTANT_ELEMENTS = 2**20

# On other backends a variable is better: JAX would embed a constant in every program that it compiles.
_KERNELS_AS_CONSTANTS = keras.backend.backend() == "tensorflow"


class FrozenConvolution(keras.layers.Layer):  # type: ignore[misc]
    """A convolution with fixed kernel and bias, followed by its activation.

    kernel: (rows, columns, in, out) float32; if depthwise (rows, columns, channels, multiplier). bias: (out,) float32.
    template: the Conv2D or DepthwiseConv2D whose strides, padding, dilation and activation are used. dtype: compute
    type.
    """

    def __init__(
        self,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32],
        *,
        template: keras.layers.Layer,
        name: str,
        dtype: str,
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=False)
        self._depthwise = isinstance(template, keras.layers.DepthwiseConv2D)
        self._geometry = {
            "strides": template.strides,
            "padding": template.padding,
            "dilation_rate": template.dilation_rate,
        }
        self._activation = template.activation
        self._bias = self._cast(bias)
        # A depthwise kernel is small, and a custom gradient must not close over a variable.
        if self._depthwise or (_KERNELS_AS_CONSTANTS and kernel.size <= MAX_CONSTANT_ELEMENTS):
            self._kernel: Any = self._cast(kernel)
        else:
            self._kernel = self.add_weight(name="kernel", shape=kernel.shape, initializer="zeros", trainable=False)
            self._kernel.assign(kernel)
        self._uses_custom_gradient = (
            self.compute_dtype == "bfloat16"
            and self._depthwise
            and tuple(template.strides) == (2, 2)
            and tuple(template.dilation_rate) == (1, 1)
            and kernel.shape[0] == kernel.shape[1] >= 3
            and kernel.shape[3] == 1
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Convolve inputs (batch, height, width, in)."""
        if self._uses_custom_gradient:
            output = _convolve_depthwise_stride_2(inputs, self._kernel, self._geometry["padding"])
        else:
            convolve = ops.depthwise_conv if self._depthwise else ops.conv
            output = convolve(inputs, ops.convert_to_tensor(self._kernel), **self._geometry)
        return self._activation(ops.add(output, ops.convert_to_tensor(self._bias)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the output shape, for which Keras would otherwise trace `call` in each layer."""
        convolve = ops.depthwise_conv if self._depthwise else ops.conv
        return convolve(keras.KerasTensor(input_shape), keras.KerasTensor(self._kernel.shape), **self._geometry).shape

    def _cast(self, values: NDArray[np.float32]) -> NDArray[Any]:
        cast: NDArray[Any] = np.asarray(ops.cast(values, self.compute_dtype))
        return cast


def _convolve_depthwise_stride_2(inputs: Any, kernel: NDArray[Any], padding: str) -> Any:
    """Convolve depthwise with stride 2, with a custom gradient that is a plain convolution.

    It convolves the upstream gradient, interleaved with zeros, with the flipped kernel, and equals TensorFlow's own
    gradient, which has no fast code for bfloat16 on a CPU: 6 ms against 1 ms for a layer of lite. This decides whether
    bfloat16 is faster than float32 for the whole network (28 ms a step, or 43).
    """
    side = kernel.shape[0]
    flipped = np.ascontiguousarray(kernel[::-1, ::-1])

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def convolve(inputs: Any) -> tuple[Any, Any]:
        def gradient(upstream: Any) -> Any:
            height, width = ops.shape(inputs)[1:3]
            rows, columns = ops.shape(upstream)[1:3]
            top, bottom = _compute_padding(height, rows, side, padding)
            left, right = _compute_padding(width, columns, side, padding)
            padded = ops.pad(_interleave_zeros(upstream), ((0, 0), (top, bottom), (left, right), (0, 0)))
            return ops.depthwise_conv(padded, ops.convert_to_tensor(flipped), padding="valid")

        return ops.depthwise_conv(inputs, ops.convert_to_tensor(kernel), strides=2, padding=padding), gradient

    return convolve(inputs)


def _interleave_zeros(gradient: Any) -> Any:
    """Insert a zero after every number of (batch, rows, columns, channels), downwards and to the right."""
    rows, columns = ops.shape(gradient)[1:3]
    channels = gradient.shape[3]
    widened = ops.reshape(
        ops.concatenate([gradient, ops.zeros_like(gradient)], axis=3), (-1, rows, 2 * columns, channels)
    )
    interleaved = ops.concatenate([widened, ops.zeros_like(widened)], axis=2)
    return ops.reshape(interleaved, (-1, 2 * rows, 2 * columns, channels))


def _compute_padding(input_size: Any, output_size: Any, kernel_size: int, padding: str) -> tuple[Any, Any]:
    """Return the padding before and after a zero-interleaved gradient, so that its convolution has the input's size."""
    # TensorFlow's `same` padding: what the last position needs, the smaller half of it in front.
    before = 0 if padding == "valid" else (2 * (output_size - 1) + kernel_size - input_size) // 2
    return kernel_size - 1 - before, input_size + before - 2 * output_size
