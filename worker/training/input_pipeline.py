"""Lessons: paintings cut, turned, toned and mixed, in batches that the seed alone decides."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from shared.errors import ArtDreamError
from worker.networks.network import to_picture
from worker.training.config import Plan
from worker.training.dataset import Painting

Floats = NDArray[np.float32]

#: Aspects that are cut out lie between this and its inverse.
ASPECT = 1.25

#: How far contrast and brightness go, and how often colours go: painters are not told apart by a scanner's settings.
CONTRAST, BRIGHTNESS, GREY = 0.2, 0.12, 0.15

#: The share of batches that are mixed.
MIXED = 0.8

#: Threads that prepare batches while one is learned from. Pillow decodes and scales without Python's lock.
THREADS = 2


class Lessons(keras.utils.PyDataset):  # type: ignore[misc]
    """One epoch of batches: pictures (batch, side, side, 3) in [-1, 1], shares of artists, and how much each counts."""

    def __init__(self, paintings: Sequence[Painting], artists: int, plan: Plan, epoch: int) -> None:
        """Shuffle. Pictures that fill no batch are left to another epoch."""
        super().__init__(workers=THREADS, max_queue_size=2 * THREADS)
        self._paintings, self._plan, self._epoch = paintings, plan, epoch
        self._order = np.random.default_rng((plan.seed, epoch)).permutation(len(paintings))
        self._batch = min(plan.batch, len(paintings))
        self._shares = np.eye(artists, dtype=np.float32)
        self._weights = weights(paintings, artists)

    def __len__(self) -> int:
        return len(self._paintings) // self._batch

    def __getitem__(self, index: int) -> tuple[Floats, Floats, Floats]:
        chance = np.random.default_rng((self._plan.seed, self._epoch, index))
        chosen = [self._paintings[i] for i in self._order[index * self._batch :][: self._batch]]
        pictures = np.concatenate([_varied(read(one.path), self._plan, chance) for one in chosen])
        shares = self._shares[[one.artist for one in chosen]]
        if self._plan.mixing and chance.random() < MIXED:
            part = np.float32(chance.beta(self._plan.mixing, self._plan.mixing))
            pictures = part * pictures + (1 - part) * pictures[::-1]
            shares = part * shares + (1 - part) * shares[::-1]
        return pictures, shares, self._weights[[one.artist for one in chosen]]


class Checks(keras.utils.PyDataset):  # type: ignore[misc]
    """Whole pictures in batches, unvaried, in their order: what `whole` gives, and shares of artists."""

    def __init__(self, paintings: Sequence[Painting], artists: int, plan: Plan) -> None:
        super().__init__(workers=THREADS, max_queue_size=2 * THREADS)
        self._paintings, self._plan = paintings, plan
        self._shares = np.eye(artists, dtype=np.float32)

    def __len__(self) -> int:
        return -(-len(self._paintings) // self._plan.batch)

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        chosen = self._paintings[index * self._plan.batch :][: self._plan.batch]
        return whole(chosen, self._plan.side), self._shares[[one.artist for one in chosen]]


def whole(paintings: Sequence[Painting], side: int) -> Floats:
    """Return the middle squares of paintings: (batch, side, side, 3) in [-1, 1]."""
    squares = [ImageOps.fit(read(one.path), (side, side), Image.Resampling.BICUBIC) for one in paintings]
    return np.concatenate([to_picture(np.asarray(square)) for square in squares])


def weights(paintings: Sequence[Painting], artists: int) -> Floats:
    """Return how much a picture of each artist counts: (artists,), the rarer the more, by the square root."""
    counts = np.bincount([one.artist for one in paintings], minlength=artists)
    return np.asarray(np.sqrt(counts.mean() / np.maximum(counts, 1)), np.float32)


def read(path: Path) -> Image.Image:
    """Open a picture, in three colours. Raises ArtDreamError where it is none."""
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise ArtDreamError(
            f"The picture {path} cannot be decoded: take it out, or `artdream dataset organise` again."
        ) from error


def _varied(picture: Image.Image, plan: Plan, chance: np.random.Generator) -> Floats:
    """Return a piece of a picture, varied: (1, side, side, 3)."""
    area, aspect = chance.uniform(plan.smallest_crop, 1), np.exp(chance.uniform(-1, 1) * np.log(ASPECT))
    width = min(1, np.sqrt(area * aspect)) * picture.width
    height = min(1, np.sqrt(area / aspect)) * picture.height
    left, top = chance.uniform(0, picture.width - width), chance.uniform(0, picture.height - height)
    box = (left, top, left + width, top + height)
    piece = to_picture(np.asarray(picture.resize((plan.side, plan.side), Image.Resampling.BICUBIC, box)))
    if chance.random() < 0.5:
        piece = piece[:, :, ::-1]
    if chance.random() < GREY:
        piece = np.repeat(piece.mean(axis=-1, keepdims=True), 3, axis=-1)
    contrast, brightness = chance.uniform(1 - CONTRAST, 1 + CONTRAST), chance.uniform(-BRIGHTNESS, BRIGHTNESS)
    toned: Floats = np.clip(piece * np.float32(contrast) + np.float32(brightness), -1, 1)
    return toned
