"""A network: a frozen convolutional model, the activations of its layers and its class predictions."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from PIL import Image

from shared.errors import ArtDreamError, did_you_mean
from worker.backend import Shape, Tensor, compile_function
from worker.networks import class_names


class Prediction(NamedTuple):
    """The features and class probabilities of some pictures."""

    #: (pictures, channels): the spatial mean of the feature layer.
    features: NDArray[np.float32]
    #: (pictures, classes): the probability of each class; the sum is 1 for each picture.
    probabilities: NDArray[np.float32]


#: Pixels: start, stop and step of the sides that `Network.min_side` tries.
MIN_SIDE_RANGE = (64, 512, 16)

#: Long side ÷ short side of a picture when its classes are predicted, at most; few panoramas have more. Without it, a
#: photo of 4 × 3072 px, enlarged until its short side is large enough, would take gigabytes.
MAX_ASPECT = 8


@dataclass(frozen=True)
class Network:
    """A loaded network.

    The model takes the engine's pictures, whatever it was trained on: (batch, height, width, 3) float32 in [-1, 1],
    RGB, of any height and width. A network that needs another input range converts the pictures inside its model.
    """

    name: str
    #: SHA-256 of the weights file, as hex digits.
    digest: str
    model: keras.Model
    #: The layers that a recipe may name, first to last.
    layers: tuple[str, ...]
    #: Compute type of the convolutions: float32 or bfloat16.
    precision: str = "float32"
    #: Class names, in the order of the class map's channels.
    classes: tuple[str, ...] = ()
    #: Name of the layer with the logits at each position, (batch, rows, columns, classes); None without classes.
    class_map: str | None = None
    #: Pixels: the short sides to which a whole picture is scaled to predict its class.
    sides: tuple[int, ...] = (224,)
    _feature_extractors: dict[tuple[str, ...], keras.Model] = field(default_factory=dict, repr=False, compare=False)

    def feature_extractor(self, names: Sequence[str]) -> keras.Model:
        """Return a model that maps pictures to a dictionary: layer name → activations, float32.

        Layers after the last of them are not computed. Raises ArtDreamError if a name is not a layer.
        """
        key = tuple(names)
        if key not in self._feature_extractors:
            outputs = {name: ops.cast(self._get_layer_output(name), "float32") for name in key}
            self._feature_extractors[key] = keras.Model(self.model.input, outputs)
        return self._feature_extractors[key]

    def channel_count(self, layer: str) -> int:
        """Return the number of channels of a layer. Raises ArtDreamError if the name is not a layer."""
        return int(self._get_layer_output(layer).shape[-1])

    def strides(self) -> dict[str, int]:
        """Return the distance in pixels between two positions of each layer that has positions.

        It is rounded to a power of two, because layers without `same` padding lose a few pixels at the borders.
        """
        outputs = {name: self.model.get_layer(name).output for name in self.layers}
        shapes = keras.Model(self.model.input, outputs).compute_output_shape((1, 2048, 2048, 3))
        return {name: 2 ** round(math.log2(2048 / shape[1])) for name, shape in shapes.items() if len(shape) == 4}

    @cached_property
    def min_side(self) -> int:
        """Pixels: the smallest side, in steps of 16 from 64, at which every layer has at least two positions.

        A smaller picture contains too little to recognise anything; InceptionV3 has no or one position there. Also,
        TensorFlow's bfloat16 convolutions with strides read uninitialised memory if their output is one pixel wide
        (seen with TensorFlow 2.21 on a CPU with AMX: noise or NaN).
        """
        outputs = {name: self.model.get_layer(name).output for name in self.layers}
        all_layers = keras.Model(self.model.input, outputs)
        for side in range(*MIN_SIDE_RANGE):
            try:
                shapes = all_layers.compute_output_shape((1, side, side, 3)).values()
            except ValueError:  # too small for some layer
                continue
            if min(shape[1] for shape in shapes if len(shape) == 4) >= 2:
                return side
        return MIN_SIDE_RANGE[1]

    def class_index(self, name: str) -> int:
        """Return the class map's channel of a class, given by name in any case or by index.

        Raises ArtDreamError if there is no such class (the message suggests similar ones), or no classes at all.
        """
        return class_names.class_index(self.classes, name, self.name)

    def predict(self, pictures: Sequence[NDArray[np.uint8]]) -> Prediction:
        """Predict features and classes of whole pictures: the mean over all `sides`, each as it is and mirrored.

        pictures: (height, width, 3) each, of any size; consecutive pictures of one size share a batch. One with a
        larger aspect than MAX_ASPECT is squeezed. Raises ArtDreamError if the network has no classes.
        """
        batches = [
            self._predict_same_size(list(group))
            for _, group in itertools.groupby(pictures, key=lambda picture: picture.shape)
        ]
        return Prediction(*(np.concatenate(columns) for columns in zip(*batches, strict=True)))

    def predict_probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the class probabilities of a whole picture: (classes,), sum 1.

        pixels: (height, width, 3), any size. Raises ArtDreamError if the network has no classes.
        """
        probabilities: NDArray[np.float32] = self.predict([pixels]).probabilities[0]
        return probabilities

    def _predict_same_size(self, pictures: list[NDArray[np.uint8]]) -> Prediction:
        views = []
        for side in self.sides:
            batch = np.concatenate([to_picture(_resize(picture, side)) for picture in pictures])
            views += [self._predict_means(batch), self._predict_means(batch[:, :, ::-1])]
        features, logits = (np.mean([np.asarray(view[part], np.float32) for view in views], axis=0) for part in (0, 1))
        return Prediction(features, softmax(logits))

    @property
    def feature_layer(self) -> str:
        """The layer whose spatial mean is classified. Raises ArtDreamError if the network has no classes."""
        return self.layers[self.layers.index(self._require_class_map()) - 1]

    def _require_class_map(self) -> str:
        if self.class_map is None:
            raise ArtDreamError(f"The network {self.name} tells no classes apart: take one that was trained to.")
        return self.class_map

    @cached_property
    def _predict_means(self) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """A function from pictures to the spatial means of feature layer and class map, (batch, channels) each."""
        layer, class_map = self.feature_layer, self._require_class_map()
        extractor = self.feature_extractor((layer, class_map))

        def compute_means(pictures: Tensor) -> tuple[Tensor, Tensor]:
            activations = extractor(pictures)
            return ops.mean(activations[layer], axis=(1, 2)), ops.mean(activations[class_map], axis=(1, 2))

        input_specs: list[tuple[Shape, str]] = [((None, None, None, 3), "float32")]
        return compile_function(compute_means, input_specs=input_specs, model=extractor)

    def _get_layer_output(self, name: str) -> Any:
        if name not in self.layers:
            raise ArtDreamError(f"The network {self.name} has no layer “{name}”. {did_you_mean(name, self.layers)}")
        return self.model.get_layer(name).output


def _resize(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Scale a picture to a short side, (height, width, 3), and its long side to MAX_ASPECT times that at most.

    It is squeezed, not cut: the whole picture is predicted, and a photo and its dream in the same way.
    """
    height, width, _ = pixels.shape
    scale = side / min(height, width)
    max_side = MAX_ASPECT * side
    size = (min(max(side, round(width * scale)), max_side), min(max(side, round(height * scale)), max_side))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the class probabilities of logits (…, classes), in the same shape."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float32] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def to_picture(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert pixels (height, width, 3) uint8 to an engine picture: (1, height, width, 3) float32 in [-1, 1]."""
    return pixels[None].astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_pixels(picture: Any) -> NDArray[np.uint8]:
    """Convert an engine picture (1, height, width, 3) to pixels (height, width, 3) uint8, clipping it to [-1, 1]."""
    scaled = np.asarray(picture)[0] * np.float32(127.5) + np.float32(
        128
    )  # 127.5 + 0.5: truncation then rounds to nearest
    pixels: NDArray[np.uint8] = np.clip(scaled, 0, 255).astype(np.uint8)
    return pixels
