"""Statistics of pictures in layers of a network: how strong its channels are, and which rise and fall together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops
from numpy.typing import NDArray
from PIL import Image

from worker.backend import Shape, Tensor, compile_function
from worker.dreamer import Pixels
from worker.networks.network import Network

Floats = NDArray[np.float32]

#: Network that classifies photographs, and those of its layers that see textures and motifs rather than things.
STATISTICS_NETWORK = "lite"
STATISTICS_LAYERS = ("block0", "block1", "block2", "block4", "block5", "block8")

#: Pixels: short side at which pictures are looked at, that of the paintings.
VIEW_SIDE = 256

#: Added to the variance of a channel, so that a channel that is silent has a logarithm.
VARIANCE_EPSILON = 1e-6


class Moments(NamedTuple):
    """Means and covariances of the channels of one layer, for some pictures."""

    #: (pictures, channels) float32.
    means: Floats
    #: (pictures, channels, channels) float32.
    covariances: Floats

    @property
    def grams(self) -> Floats:
        """The Gram matrices per position, (pictures, channels, channels): what style transfer compares."""
        return self.covariances + self.means[:, :, None] * self.means[:, None, :]


class LayerStatistics:
    """Computes the moments of pictures in STATISTICS_LAYERS."""

    def __init__(self, network: Network) -> None:
        """network: has those layers; float32, so that figures of two machines are the same."""
        extractor = network.feature_extractor(STATISTICS_LAYERS)

        def compute_moments(pictures: Tensor) -> list[tuple[Tensor, Tensor]]:
            activations = extractor(pictures)
            return [_compute_moments(activations[layer]) for layer in STATISTICS_LAYERS]

        input_specs: list[tuple[Shape, str]] = [((None, None, None, 3), "float32")]
        self._compute: Any = compile_function(compute_moments, input_specs=input_specs, model=extractor)

    def measure(self, pictures: Floats) -> list[Moments]:
        """Return the moments in each layer. pictures: (pictures, height, width, 3), levels from 0 to 255."""
        moments = self._compute(pictures.astype(np.float32) / np.float32(127.5) - np.float32(1))
        return [Moments(*(np.asarray(values) for values in layer_moments)) for layer_moments in moments]


def scale_to_view(pixels: Pixels) -> Pixels:
    """Scale a picture to a short side of VIEW_SIDE."""
    height, width, _ = pixels.shape
    scale = VIEW_SIDE / min(height, width)
    size = max(VIEW_SIDE, round(width * scale)), max(VIEW_SIDE, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def join_moments(batches: Sequence[Sequence[Moments]]) -> list[Moments]:
    """Join the moments of several batches of pictures, layer by layer."""
    return [
        Moments(*(np.concatenate(values) for values in zip(*layer_batches, strict=True)))
        for layer_batches in zip(*batches, strict=True)
    ]


def describe_style(moments: Sequence[Moments]) -> Floats:
    """Describe the style of pictures: (pictures, features) float32.

    Of each layer: the means of the channels relative to their root mean squares, the logarithms of their standard
    deviations, and the correlations of each two channels. Neither depends on the size of a picture, nor on where in it
    things are.
    """
    features: list[Floats] = []
    for means, covariances in moments:
        variances = np.maximum(np.diagonal(covariances, axis1=1, axis2=2), 0) + np.float32(VARIANCE_EPSILON)
        deviations = np.sqrt(variances)
        rows, columns = np.triu_indices(means.shape[1], k=1)
        correlations = covariances[:, rows, columns] / (deviations[:, rows] * deviations[:, columns])
        features += [means / np.sqrt(means**2 + variances), np.log(deviations), correlations]
    return np.concatenate(features, axis=1)


def _compute_moments(activations: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and covariances over all positions of (batch, rows, columns, channels)."""
    shape = ops.shape(activations)
    positions = ops.reshape(activations, (shape[0], -1, activations.shape[-1]))
    means = ops.mean(positions, axis=1)
    centred = positions - means[:, None]
    products = ops.matmul(ops.transpose(centred, (0, 2, 1)), centred)
    return means, products / ops.cast(ops.shape(positions)[1], "float32")
