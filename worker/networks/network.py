"""A network: a frozen convolutional net that can be asked for what its layers see."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from shared.errors import ArtDreamError


@dataclass(frozen=True)
class Network:
    """A loaded network.

    Whatever a network was trained on, its model takes the engine's pictures: (batch, height, width, 3) float32 in
    [-1, 1], RGB, of any height and width. A network that wants other numbers converts them inside its model.
    """

    name: str
    #: sha256 of the weights, as hex digits.
    digest: str
    model: keras.Model
    #: The layers that a recipe may name, first to last.
    layers: tuple[str, ...]
    _features: dict[tuple[str, ...], keras.Model] = field(default_factory=dict, repr=False, compare=False)

    def features(self, names: Sequence[str]) -> keras.Model:
        """Return the model that maps a picture to a dictionary: layer name → activations.

        Nothing behind the last of them is computed. Raises ArtDreamError for a name that is no layer.
        """
        for name in names:
            if name not in self.layers:
                near = difflib.get_close_matches(name, self.layers, n=3, cutoff=0.4) or self.layers
                raise ArtDreamError(f"The network {self.name} has no layer “{name}”. Did you mean {', '.join(near)}?")
        key = tuple(names)
        if key not in self._features:
            outputs = {name: self.model.get_layer(name).output for name in key}
            self._features[key] = keras.Model(self.model.input, outputs)
        return self._features[key]


def to_picture(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn pixels (height, width, 3) into a picture of the engine: (1, height, width, 3) in [-1, 1]."""
    return pixels[None].astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_pixels(picture: Any) -> NDArray[np.uint8]:
    """Turn a picture of the engine, any values beyond [-1, 1] clipped, into pixels (height, width, 3)."""
    scaled = np.asarray(picture)[0] * np.float32(127.5) + np.float32(128)  # rounds to nearest once cut to an integer
    pixels: NDArray[np.uint8] = np.clip(scaled, 0, 255).astype(np.uint8)
    return pixels
