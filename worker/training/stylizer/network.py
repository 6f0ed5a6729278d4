"""The stylizer's architecture: an encoder, residual blocks and a decoder, conditioned on the style.

After Johnson et al., “Perceptual Losses for Real-Time Style Transfer” (arXiv 1603.08155), and Dumoulin et al., “A
Learned Representation for Artistic Style” (arXiv 1610.07629): each style has its own scale and shift of every channel.
Nothing is normalized. With instance normalization, dark parts of a picture become bright spots that hide what is there:
a channel in which little happens is amplified. Borders are mirrored, as zeros would be seen as such.
"""

from typing import Literal, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from shared.stylizer import PICTURE, STYLE
from worker.networks.network import to_picture, to_pixels


class Convolution(NamedTuple):
    """A convolution, scaled and shifted by the style, in the order of the network."""

    name: str
    channels: int
    kernel: int = 3
    stride: int = 1
    #: Whether height and width of its input are doubled first, bilinearly: repeated pixels would be seen as a grid.
    is_upsampled: bool = False
    activation: Literal["relu", "tanh", ""] = "relu"
    #: Whether the input of the convolution before is added to its output.
    is_residual: bool = False


#: Number of residual blocks. With the widths below: 345,000 weights, 1.4 MB.
BLOCKS = 4

CONVOLUTIONS = (
    Convolution("first", 16, kernel=5),
    Convolution("down1", 32, stride=2),
    Convolution("down2", 64, stride=2),
    *(
        convolution
        for block in range(1, BLOCKS + 1)
        for convolution in (
            Convolution(f"block{block}a", 64),
            Convolution(f"block{block}b", 64, activation="", is_residual=True),
        )
    ),
    Convolution("up1", 32, is_upsampled=True),
    Convolution("up2", 16, is_upsampled=True),
    Convolution("last", 3, kernel=5, activation="tanh"),
)

#: First scale of convolutions whose output is added to something: without normalization, the sum would grow with each
#: block (Zhang et al., “Fixup Initialization”, arXiv 1901.09321).
RESIDUAL_SCALE = 0.2


def build_stylizer(style_count: int) -> keras.Model:
    """Build a stylizer with random weights.

    Its inputs, by name, are `picture`, (batch, height, width, 3) in [-1, 1], and `style`, (batch, styles), the share of
    each; its output is the painting, like the picture. Height and width are multiples of SIDE_MULTIPLE.
    """
    picture = keras.Input((None, None, 3), name=PICTURE)
    style = keras.Input((style_count,), name=STYLE)
    before, values = picture, picture
    for convolution in CONVOLUTIONS:
        before, values = values, _convolve(convolution, before, values, style)
    return keras.Model({PICTURE: picture, STYLE: style}, values, name="stylizer")


def paint_in_all_styles(stylizer: keras.Model, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint a picture in each style: (height, width, 3) → (styles, height, width, 3), uint8.

    Height and width are multiples of SIDE_MULTIPLE.
    """
    styles = np.eye(stylizer.input[STYLE].shape[-1], dtype=np.float32)
    pictures = np.repeat(to_picture(pixels), len(styles), axis=0)
    paintings = stylizer.predict({PICTURE: pictures, STYLE: styles}, batch_size=1, verbose=0)
    return np.stack([to_pixels(painting[None]) for painting in paintings])


def _convolve(
    convolution: Convolution, before: keras.KerasTensor, values: keras.KerasTensor, style: keras.KerasTensor
) -> keras.KerasTensor:
    name, channels, margin = convolution.name, convolution.channels, convolution.kernel // 2
    if convolution.is_upsampled:
        values = keras.layers.UpSampling2D(interpolation="bilinear")(values)
    values = ops.pad(values, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")
    values = keras.layers.Conv2D(
        channels, convolution.kernel, convolution.stride, use_bias=False, kernel_initializer="he_normal", name=name
    )(values)
    first_scale = keras.initializers.Constant(RESIDUAL_SCALE if convolution.is_residual else 1)
    scale = keras.layers.Dense(channels, use_bias=False, kernel_initializer=first_scale, name=f"{name}_scale")(style)
    shift = keras.layers.Dense(channels, use_bias=False, kernel_initializer="zeros", name=f"{name}_shift")(style)
    values = values * ops.reshape(scale, (-1, 1, 1, channels)) + ops.reshape(shift, (-1, 1, 1, channels))
    if convolution.is_residual:
        values = before + values
    return keras.layers.Activation(convolution.activation)(values) if convolution.activation else values
