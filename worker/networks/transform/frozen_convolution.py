"""Convolutions that never learn: their weights are numbers, held once in the precision that they compute in."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

#: Kernels up to this many numbers are constants of the graph: oneDNN then keeps them in its own order instead of
#: reordering them at every step (InceptionV3 4 % faster). A graph holds several copies of a constant, so the large ones
#: of VGG, which gain nothing, stay variables.
LARGEST_CONSTANT = 2**20

# Elsewhere a variable is better: JAX would write a constant into every program that it compiles.
_CONSTANTS = keras.backend.backend() == "tensorflow"


class FrozenConvolution(keras.layers.Layer):  # type: ignore[misc]
    """A convolution with fixed kernel and bias, and the activation behind it.

    kernel: (rows, columns, in, out) float32; where depthwise (rows, columns, channels, multiplier). bias: (out,).
    like: the Conv2D or DepthwiseConv2D whose strides, padding, dilation and activation it takes over.
    """

    def __init__(
        self, kernel: NDArray[np.float32], bias: NDArray[np.float32], *, like: keras.layers.Layer, name: str, dtype: str
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=False)
        self._depthwise = isinstance(like, keras.layers.DepthwiseConv2D)
        self._geometry = {"strides": like.strides, "padding": like.padding, "dilation_rate": like.dilation_rate}
        self._activation = like.activation
        self._bias = self._cast(bias)
        # A depthwise kernel is small, and a gradient of one's own may close over no variable.
        if self._depthwise or (_CONSTANTS and kernel.size <= LARGEST_CONSTANT):
            self._kernel: Any = self._cast(kernel)
        else:
            self._kernel = self.add_weight(name="kernel", shape=kernel.shape, initializer="zeros", trainable=False)
            self._kernel.assign(kernel)
        self._own_gradient = (
            self.compute_dtype == "bfloat16"
            and self._depthwise
            and tuple(like.strides) == (2, 2)
            and tuple(like.dilation_rate) == (1, 1)
            and kernel.shape[0] == kernel.shape[1] >= 3
            and kernel.shape[3] == 1
        )
        self.built = True

    def call(self, seen: Any) -> Any:
        """Convolve (batch, height, width, in)."""
        if self._own_gradient:
            out = _halving(seen, self._kernel, self._geometry["padding"])
        else:
            convolve = ops.depthwise_conv if self._depthwise else ops.conv
            out = convolve(seen, ops.convert_to_tensor(self._kernel), **self._geometry)
        return self._activation(ops.add(out, ops.convert_to_tensor(self._bias)))

    def compute_output_shape(self, shape: Any) -> Any:
        """Return what Keras would otherwise trace `call` for, layer by layer."""
        convolve = ops.depthwise_conv if self._depthwise else ops.conv
        return convolve(keras.KerasTensor(shape), keras.KerasTensor(self._kernel.shape), **self._geometry).shape

    def _cast(self, numbers: NDArray[np.float32]) -> NDArray[Any]:
        cast: NDArray[Any] = np.asarray(ops.cast(numbers, self.compute_dtype))
        return cast


def _halving(seen: Any, kernel: NDArray[Any], padding: str) -> Any:
    """Convolve depthwise with stride 2; the gradient convolves the slopes, spread, with the kernel flipped.

    It is the same gradient. TensorFlow's own has no fast code for bfloat16 on a CPU: 6 ms against 1 ms for a layer of
    lite, which decides whether bfloat16 is faster than float32 for the whole network (28 ms a step, or 43).
    """
    side = kernel.shape[0]
    flipped = np.ascontiguousarray(kernel[::-1, ::-1])

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def convolved(seen: Any) -> tuple[Any, Any]:
        def gradient(slope: Any) -> Any:
            height, width = ops.shape(seen)[1:3]
            rows, columns = ops.shape(slope)[1:3]
            top, bottom = _margins(height, rows, side, padding)
            left, right = _margins(width, columns, side, padding)
            spread = ops.pad(_spread(slope), ((0, 0), (top, bottom), (left, right), (0, 0)))
            return ops.depthwise_conv(spread, ops.convert_to_tensor(flipped), padding="valid")

        return ops.depthwise_conv(seen, ops.convert_to_tensor(kernel), strides=2, padding=padding), gradient

    return convolved(seen)


def _spread(slope: Any) -> Any:
    """Put a zero behind every number of (batch, rows, columns, channels), downwards and to the right."""
    rows, columns = ops.shape(slope)[1:3]
    channels = slope.shape[3]
    wide = ops.reshape(ops.concatenate([slope, ops.zeros_like(slope)], axis=3), (-1, rows, 2 * columns, channels))
    high = ops.concatenate([wide, ops.zeros_like(wide)], axis=2)
    return ops.reshape(high, (-1, 2 * rows, 2 * columns, channels))


def _margins(length: Any, positions: Any, side: int, padding: str) -> tuple[Any, Any]:
    """Return how much to add before and behind spread slopes, so that their convolution is as long as the picture."""
    # TensorFlow's `same`: what is lacking for the last position, the smaller half of it in front.
    before = 0 if padding == "valid" else (2 * (positions - 1) + side - length) // 2
    return side - 1 - before, length + before - 2 * positions
