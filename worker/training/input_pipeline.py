"""The input pipeline: batches of cropped, flipped, toned, noisy and mixed paintings, determined by the seed alone."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from shared.errors import ArtDreamError
from worker.networks.network import to_picture
from worker.training.config import TrainingConfig
from worker.training.dataset import Painting

Floats = NDArray[np.float32]
Batch = TypeVar("Batch")

#: Largest aspect ratio of a crop, relative to the picture's; the smallest is its inverse.
MAX_CROP_ASPECT = 1.25

#: Largest change of contrast and brightness, and share of greyscale pictures: a scanner's settings must not matter.
CONTRAST_JITTER, BRIGHTNESS_JITTER, GRAYSCALE_PROBABILITY = 0.2, 0.12, 0.15

#: Pixels: the coarsest grain of noise; the finest is 1. Speckle of a dream is of this size.
MAX_GRAIN = 4

#: Share of batches to which mixup is applied.
MIXUP_PROBABILITY = 0.8

#: Threads that prepare batches during training. Pillow decodes and scales without the GIL.
LOADER_THREADS = 2


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches of one epoch: pictures (batch, side, side, 3) in [-1, 1], shares of artists, and sample weights."""

    def __init__(self, paintings: Sequence[Painting], artist_count: int, config: TrainingConfig, epoch: int) -> None:
        """Shuffle the paintings. Those that do not fill a batch are left out of this epoch."""
        super().__init__(workers=LOADER_THREADS, max_queue_size=2 * LOADER_THREADS)
        self._paintings, self._config, self._epoch = paintings, config, epoch
        self._order = np.random.default_rng((config.seed, epoch)).permutation(len(paintings))
        self._batch_size = min(config.batch, len(paintings))
        self._one_hot_labels = np.eye(artist_count, dtype=np.float32)
        self._artist_weights = compute_artist_weights(paintings, artist_count)

    def __len__(self) -> int:
        return len(self._paintings) // self._batch_size

    def __getitem__(self, index: int) -> tuple[Floats, Floats, Floats]:
        rng = np.random.default_rng((self._config.seed, self._epoch, index))
        chosen = [self._paintings[i] for i in self._order[index * self._batch_size :][: self._batch_size]]
        pictures = np.concatenate([_augment(open_picture(painting.path), self._config, rng) for painting in chosen])
        shares = self._one_hot_labels[[painting.artist for painting in chosen]]
        if self._config.mixing and rng.random() < MIXUP_PROBABILITY:
            ratio = np.float32(rng.beta(self._config.mixing, self._config.mixing))
            pictures = ratio * pictures + (1 - ratio) * pictures[::-1]
            shares = ratio * shares + (1 - ratio) * shares[::-1]
        return pictures, shares, self._artist_weights[[painting.artist for painting in chosen]]


class ValidationBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of whole pictures in their order, not augmented: `load_center_crops` and one-hot artists."""

    def __init__(self, paintings: Sequence[Painting], artist_count: int, config: TrainingConfig) -> None:
        super().__init__(workers=LOADER_THREADS, max_queue_size=2 * LOADER_THREADS)
        self._paintings, self._config = paintings, config
        self._one_hot_labels = np.eye(artist_count, dtype=np.float32)

    def __len__(self) -> int:
        return -(-len(self._paintings) // self._config.batch)

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        chosen = self._paintings[index * self._config.batch :][: self._config.batch]
        return load_center_crops(chosen, self._config.side), self._one_hot_labels[
            [painting.artist for painting in chosen]
        ]


def load_ahead(load: Callable[[int], Batch], indexes: Iterable[int]) -> Iterator[Batch]:
    """Yield what is loaded for each index, in order. The next ones are loaded meanwhile, LOADER_THREADS at a time."""
    with ThreadPoolExecutor(LOADER_THREADS) as executor:
        pending: deque[Future[Batch]] = deque()
        for index in indexes:
            pending.append(executor.submit(load, index))
            if len(pending) > LOADER_THREADS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def load_center_crops(paintings: Sequence[Painting], side: int) -> Floats:
    """Return the central squares of paintings, scaled: (batch, side, side, 3) float32 in [-1, 1]."""
    squares = [
        ImageOps.fit(open_picture(painting.path), (side, side), Image.Resampling.BICUBIC) for painting in paintings
    ]
    return np.concatenate([to_picture(np.asarray(square)) for square in squares])


def compute_artist_weights(paintings: Sequence[Painting], artist_count: int) -> Floats:
    """Return the sample weight of each artist's pictures: (artists,) float32.

    It is proportional to 1 ÷ the square root of the artist's number of pictures.
    """
    counts = np.bincount([painting.artist for painting in paintings], minlength=artist_count)
    return np.asarray(np.sqrt(counts.mean() / np.maximum(counts, 1)), np.float32)


def open_picture(path: Path) -> Image.Image:
    """Open a picture in RGB. Raises ArtDreamError if it cannot be decoded."""
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise ArtDreamError(
            f"The picture {path} cannot be decoded: take it out, or `artdream dataset organize` again."
        ) from error


def _augment(picture: Image.Image, config: TrainingConfig, rng: np.random.Generator) -> Floats:
    """Return a random crop of a picture, augmented: (1, side, side, 3) float32 in [-1, 1]."""
    area, aspect = rng.uniform(config.smallest_crop, 1), np.exp(rng.uniform(-1, 1) * np.log(MAX_CROP_ASPECT))
    width = min(1, np.sqrt(area * aspect)) * picture.width
    height = min(1, np.sqrt(area / aspect)) * picture.height
    left, top = rng.uniform(0, picture.width - width), rng.uniform(0, picture.height - height)
    box = (left, top, left + width, top + height)
    crop = to_picture(np.asarray(picture.resize((config.side, config.side), Image.Resampling.BICUBIC, box)))
    if rng.random() < 0.5:
        crop = crop[:, :, ::-1]
    if rng.random() < GRAYSCALE_PROBABILITY:
        crop = np.repeat(crop.mean(axis=-1, keepdims=True), 3, axis=-1)
    contrast, brightness = (
        rng.uniform(1 - CONTRAST_JITTER, 1 + CONTRAST_JITTER),
        rng.uniform(-BRIGHTNESS_JITTER, BRIGHTNESS_JITTER),
    )
    toned = crop * np.float32(contrast) + np.float32(brightness)
    if config.noise:
        toned = toned + draw_noise(config.side, config.noise, rng)
    augmented: Floats = np.clip(toned, -1, 1)
    return augmented


def draw_noise(side: int, largest_deviation: float, rng: np.random.Generator) -> Floats:
    """Return Gaussian noise of random strength and grain: (1, side, side, 3) float32, mean about 0.

    largest_deviation: the standard deviation is drawn between 0 and it, and the grain between 1 px and MAX_GRAIN.
    """
    deviation, grain = np.float32(rng.uniform(0, largest_deviation)), rng.uniform(1, MAX_GRAIN)
    grains = rng.standard_normal((3, *[math.ceil(side / grain)] * 2), np.float32)
    enlarged = [Image.fromarray(channel).resize((side, side), Image.Resampling.BICUBIC) for channel in grains]
    noise = np.stack([np.asarray(channel) for channel in enlarged], axis=-1)
    scaled: Floats = deviation * noise[None] / noise.std()  # interpolation lowers the deviation
    return scaled
