"""A network: a frozen convolutional net that can be asked for what its layers see."""

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
    """What a network saw in some pictures."""

    #: (pictures, channels): the mean of its representation.
    features: NDArray[np.float32]
    #: (pictures, classes): how probable each class is, summing to 1 for each picture.
    probabilities: NDArray[np.float32]


#: Pixels: from, to, in steps of.
MIN_SIDE_RANGE = (64, 512, 16)


@dataclass(frozen=True)
class Network:
    """A loaded network.

    Whatever a network was trained on, its model takes the engine's pictures: (batch, height, width, 3) float32 in
    [-1, 1], RGB, of any height and width. A network that wants other numbers converts them inside its model.
    """

    name: str
    #: sha256 of the file of its weights, as hex digits.
    digest: str
    model: keras.Model
    #: The layers that a recipe may name, first to last.
    layers: tuple[str, ...]
    #: What its convolutions compute in: float32 or bfloat16.
    precision: str = "float32"
    #: Names of what it tells apart, in the order of the class map's channels.
    classes: tuple[str, ...] = ()
    #: The layer with the logits at each position, (batch, rows, columns, classes); None without classes.
    class_map: str | None = None
    #: Pixels: the short sides at which it looks at a whole picture to name its class.
    sides: tuple[int, ...] = (224,)
    _feature_extractors: dict[tuple[str, ...], keras.Model] = field(default_factory=dict, repr=False, compare=False)

    def feature_extractor(self, names: Sequence[str]) -> keras.Model:
        """Return the model that maps pictures to a dictionary: layer name → activations, float32.

        Nothing behind the last of them is computed. Raises ArtDreamError for a name that is no layer.
        """
        key = tuple(names)
        if key not in self._feature_extractors:
            outputs = {name: ops.cast(self._get_layer_output(name), "float32") for name in key}
            self._feature_extractors[key] = keras.Model(self.model.input, outputs)
        return self._feature_extractors[key]

    def channel_count(self, layer: str) -> int:
        """Return how many channels a layer has. Raises ArtDreamError for a name that is no layer."""
        return int(self._get_layer_output(layer).shape[-1])

    def strides(self) -> dict[str, int]:
        """Return how many pixels lie between two positions of each layer that has positions.

        Without `same` padding a few pixels are lost at the borders, so it is the nearest power of two.
        """
        outputs = {name: self.model.get_layer(name).output for name in self.layers}
        shapes = keras.Model(self.model.input, outputs).compute_output_shape((1, 2048, 2048, 3))
        return {name: 2 ** round(math.log2(2048 / shape[1])) for name, shape in shapes.items() if len(shape) == 4}

    @cached_property
    def min_side(self) -> int:
        """Pixels: the least side of a picture, in steps of 16 from 64, that leaves every layer two positions.

        A smaller one shows a network too little to recognise anything; InceptionV3 has no or one position there. And
        TensorFlow's bfloat16 convolutions with strides read memory that nobody wrote where they make a map one pixel
        wide (seen with TensorFlow 2.21 on a CPU with AMX: noise, or no number).
        """
        outputs = {name: self.model.get_layer(name).output for name in self.layers}
        asked = keras.Model(self.model.input, outputs)
        for side in range(*MIN_SIDE_RANGE):
            try:
                shapes = asked.compute_output_shape((1, side, side, 3)).values()
            except ValueError:  # less than no position
                continue
            if min(shape[1] for shape in shapes if len(shape) == 4) >= 2:
                return side
        return MIN_SIDE_RANGE[1]

    def class_index(self, name: str) -> int:
        """Return the class map's channel of a class, named in any case or by its number.

        Raises ArtDreamError that names near classes, or says that this network has none.
        """
        return class_names.class_index(self.classes, name, self.name)

    def predict(self, pictures: Sequence[NDArray[np.uint8]]) -> Prediction:
        """Look at whole pictures, each at every one of `sides`, and in the mirror: means over these views.

        pictures: (height, width, 3) each, of any sizes; those that follow each other in one size are looked at
        together. Raises ArtDreamError where the network has no classes.
        """
        parts = [
            self._predict_same_size(list(same)) for _, same in itertools.groupby(pictures, key=lambda one: one.shape)
        ]
        return Prediction(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def predict_probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return how probable each class is for a whole picture: (classes,), sum 1.

        pixels: (height, width, 3), any size. Raises ArtDreamError where the network has no classes.
        """
        probable: NDArray[np.float32] = self.predict([pixels]).probabilities[0]
        return probable

    def _predict_same_size(self, pictures: list[NDArray[np.uint8]]) -> Prediction:
        views = []
        for side in self.sides:
            scaled = np.concatenate([to_picture(_resize(one, side)) for one in pictures])
            views += [self._predict_means(scaled), self._predict_means(scaled[:, :, ::-1])]
        features, logits = (np.mean([np.asarray(view[part], np.float32) for view in views], axis=0) for part in (0, 1))
        return Prediction(features, softmax(logits))

    @property
    def feature_layer(self) -> str:
        """The layer whose mean the classes are told apart by. Raises ArtDreamError where there are no classes."""
        return self.layers[self.layers.index(self._require_class_map()) - 1]

    def _require_class_map(self) -> str:
        if self.class_map is None:
            raise ArtDreamError(f"The network {self.name} tells no classes apart: take one that was trained to.")
        return self.class_map

    @cached_property
    def _predict_means(self) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """From pictures to the means of the representation and of the class map, (batch, channels) each."""
        layer, classmap = self.feature_layer, self._require_class_map()
        features = self.feature_extractor((layer, classmap))

        def compute_means(pictures: Tensor) -> tuple[Tensor, Tensor]:
            seen = features(pictures)
            return ops.mean(seen[layer], axis=(1, 2)), ops.mean(seen[classmap], axis=(1, 2))

        takes: list[tuple[Shape, str]] = [((None, None, None, 3), "float32")]
        return compile_function(compute_means, input_specs=takes, model=features)

    def _get_layer_output(self, name: str) -> Any:
        if name not in self.layers:
            raise ArtDreamError(f"The network {self.name} has no layer “{name}”. {did_you_mean(name, self.layers)}")
        return self.model.get_layer(name).output


def _resize(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width, _ = pixels.shape
    scale = side / min(height, width)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn logits (…, classes) into probabilities of the same shape."""
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probable: NDArray[np.float32] = odds / odds.sum(axis=-1, keepdims=True)
    return probable


def to_picture(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn pixels (height, width, 3) into a picture of the engine: (1, height, width, 3) in [-1, 1]."""
    return pixels[None].astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_pixels(picture: Any) -> NDArray[np.uint8]:
    """Turn a picture of the engine, any values beyond [-1, 1] clipped, into pixels (height, width, 3)."""
    scaled = np.asarray(picture)[0] * np.float32(127.5) + np.float32(128)  # rounds to nearest once cut to an integer
    pixels: NDArray[np.uint8] = np.clip(scaled, 0, 255).astype(np.uint8)
    return pixels
