"""Lessons: paintings cut, turned, toned and mixed, in batches that the seed alone decides."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from shared.errors import ArtDreamError
from worker.networks.network import to_picture
from worker.training.config import TrainingConfig
from worker.training.dataset import Painting

Floats = NDArray[np.float32]

#: Aspects that are cut out lie between this and its inverse.
MAX_CROP_ASPECT = 1.25

#: How far contrast and brightness go, and how often colours go: painters are not told apart by a scanner's settings.
CONTRAST_JITTER, BRIGHTNESS_JITTER, GRAYSCALE_PROBABILITY = 0.2, 0.12, 0.15

#: The share of batches that are mixed.
MIXUP_PROBABILITY = 0.8

#: Threads that prepare batches while one is learned from. Pillow decodes and scales without Python's lock.
LOADER_THREADS = 2


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """One epoch of batches: pictures (batch, side, side, 3) in [-1, 1], shares of artists, and how much each counts."""

    def __init__(self, paintings: Sequence[Painting], artist_count: int, config: TrainingConfig, epoch: int) -> None:
        """Shuffle. Pictures that fill no batch are left to another epoch."""
        super().__init__(workers=LOADER_THREADS, max_queue_size=2 * LOADER_THREADS)
        self._paintings, self._config, self._epoch = paintings, config, epoch
        self._order = np.random.default_rng((config.seed, epoch)).permutation(len(paintings))
        self._batch_size = min(config.batch, len(paintings))
        self._one_hot_labels = np.eye(artist_count, dtype=np.float32)
        self._artist_weights = compute_artist_weights(paintings, artist_count)

    def __len__(self) -> int:
        return len(self._paintings) // self._batch_size

    def __getitem__(self, index: int) -> tuple[Floats, Floats, Floats]:
        chance = np.random.default_rng((self._config.seed, self._epoch, index))
        chosen = [self._paintings[i] for i in self._order[index * self._batch_size :][: self._batch_size]]
        pictures = np.concatenate([_augment(open_picture(one.path), self._config, chance) for one in chosen])
        shares = self._one_hot_labels[[one.artist for one in chosen]]
        if self._config.mixing and chance.random() < MIXUP_PROBABILITY:
            part = np.float32(chance.beta(self._config.mixing, self._config.mixing))
            pictures = part * pictures + (1 - part) * pictures[::-1]
            shares = part * shares + (1 - part) * shares[::-1]
        return pictures, shares, self._artist_weights[[one.artist for one in chosen]]


class ValidationBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Whole pictures in batches, unvaried, in their order: what `whole` gives, and shares of artists."""

    def __init__(self, paintings: Sequence[Painting], artist_count: int, config: TrainingConfig) -> None:
        super().__init__(workers=LOADER_THREADS, max_queue_size=2 * LOADER_THREADS)
        self._paintings, self._config = paintings, config
        self._one_hot_labels = np.eye(artist_count, dtype=np.float32)

    def __len__(self) -> int:
        return -(-len(self._paintings) // self._config.batch)

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        chosen = self._paintings[index * self._config.batch :][: self._config.batch]
        return load_center_crops(chosen, self._config.side), self._one_hot_labels[[one.artist for one in chosen]]


def load_center_crops(paintings: Sequence[Painting], side: int) -> Floats:
    """Return the middle squares of paintings: (batch, side, side, 3) in [-1, 1]."""
    squares = [ImageOps.fit(open_picture(one.path), (side, side), Image.Resampling.BICUBIC) for one in paintings]
    return np.concatenate([to_picture(np.asarray(square)) for square in squares])


def compute_artist_weights(paintings: Sequence[Painting], artist_count: int) -> Floats:
    """Return how much a picture of each artist counts: (artists,), the rarer the more, by the square root."""
    counts = np.bincount([one.artist for one in paintings], minlength=artist_count)
    return np.asarray(np.sqrt(counts.mean() / np.maximum(counts, 1)), np.float32)


def open_picture(path: Path) -> Image.Image:
    """Open a picture, in three colours. Raises ArtDreamError where it is none."""
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise ArtDreamError(
            f"The picture {path} cannot be decoded: take it out, or `artdream dataset organise` again."
        ) from error


def _augment(picture: Image.Image, config: TrainingConfig, rng: np.random.Generator) -> Floats:
    """Return a piece of a picture, varied: (1, side, side, 3)."""
    area, aspect = rng.uniform(config.smallest_crop, 1), np.exp(rng.uniform(-1, 1) * np.log(MAX_CROP_ASPECT))
    width = min(1, np.sqrt(area * aspect)) * picture.width
    height = min(1, np.sqrt(area / aspect)) * picture.height
    left, top = rng.uniform(0, picture.width - width), rng.uniform(0, picture.height - height)
    box = (left, top, left + width, top + height)
    piece = to_picture(np.asarray(picture.resize((config.side, config.side), Image.Resampling.BICUBIC, box)))
    if rng.random() < 0.5:
        piece = piece[:, :, ::-1]
    if rng.random() < GRAYSCALE_PROBABILITY:
        piece = np.repeat(piece.mean(axis=-1, keepdims=True), 3, axis=-1)
    contrast, brightness = (
        rng.uniform(1 - CONTRAST_JITTER, 1 + CONTRAST_JITTER),
        rng.uniform(-BRIGHTNESS_JITTER, BRIGHTNESS_JITTER),
    )
    toned: Floats = np.clip(piece * np.float32(contrast) + np.float32(brightness), -1, 1)
    return toned
