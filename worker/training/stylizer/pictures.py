"""The pictures that a stylizer learns to paint: random crops of any pictures, determined by the seed alone."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from shared.errors import ArtDreamError
from worker.networks.network import to_picture
from worker.training.dataset.dataset import PICTURE_SUFFIXES
from worker.training.input_pipeline import Floats, draw_noise, open_picture
from worker.training.stylizer.config import StylizerConfig


class StylizerBatch(NamedTuple):
    """What a stylizer learns from in one step."""

    #: (batch, side, side, 3) float32 in [-1, 1].
    pictures: Floats
    #: The same with noise: what the stylizer is given.
    noisy_pictures: Floats
    #: (batch, styles) float32, one-hot.
    styles: Floats


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures in a folder and its subfolders, sorted. Raises ArtDreamError if there are none."""
    pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not pictures:
        raise ArtDreamError(f"There are no pictures in {folder}: JPEG, PNG or WebP, in subfolders, too.")
    return pictures


def compute_digest(pictures: Sequence[Path]) -> str:
    """Return sixteen hex digits that change with the names and sizes of some pictures."""
    entries = "\n".join(f"{path.name} {path.stat().st_size}" for path in pictures)
    return hashlib.sha256(entries.encode()).hexdigest()[:16]


def load_batch(pictures: Sequence[Path], config: StylizerConfig, step: int) -> StylizerBatch:
    """Load the batch of a step: its pictures and styles are drawn. Raises ArtDreamError for a damaged picture."""
    rng = np.random.default_rng((config.seed, step))
    paths = [pictures[index] for index in rng.integers(len(pictures), size=config.batch)]
    crops = np.concatenate([_crop(open_picture(path), config, rng) for path in paths])
    noise = np.concatenate([draw_noise(config.side, config.noise, rng) for _ in paths])
    styles = rng.integers(len(config.painters), size=config.batch)
    return StylizerBatch(crops, np.clip(crops + noise, -1, 1), np.eye(len(config.painters), dtype=np.float32)[styles])


def _crop(picture: Image.Image, config: StylizerConfig, rng: np.random.Generator) -> Floats:
    """Return a random square of a picture, mirrored half of the time: (1, side, side, 3) float32 in [-1, 1]."""
    side = rng.uniform(config.smallest_crop, 1) * min(picture.size)
    left, top = rng.uniform(0, picture.width - side), rng.uniform(0, picture.height - side)
    box = (left, top, left + side, top + side)
    crop = to_picture(np.asarray(picture.resize((config.side, config.side), Image.Resampling.BICUBIC, box)))
    return crop[:, :, ::-1] if rng.random() < 0.5 else crop
