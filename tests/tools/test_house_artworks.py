"""The bundled artworks are generated, differ from each other, and have enough detail for style transfer."""

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from shared.errors import ArtDreamError
from tools.house_artworks.__main__ import PAINTERS, save_jpeg
from worker.dreaming.artworks import list_artworks, read_artwork

ARTWORK_NAMES = list_artworks()
ARTWORK_PAIRS = list(itertools.combinations(ARTWORK_NAMES, 2))


def decode_jpeg(jpeg: bytes) -> np.ndarray:
    """Return a JPEG as (rows, columns, 3), float32 in 0 to 255."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        return np.asarray(picture.convert("RGB"), np.float32)


def compute_bands(image: np.ndarray, count: int) -> list[np.ndarray]:
    """Return the detail of an image's lightness at `count` scales, from fine to coarse, each half the size."""
    grey, bands = image.mean(-1), []
    for _ in range(count):
        grey = grey[: grey.shape[0] // 2 * 2, : grey.shape[1] // 2 * 2]
        coarser = (grey[::2, ::2] + grey[1::2, ::2] + grey[::2, 1::2] + grey[1::2, 1::2]) / 4
        bands.append(grey - coarser.repeat(2, 0).repeat(2, 1))
        grey = coarser
    return bands


def compute_palette(image: np.ndarray) -> np.ndarray:
    """Return the share of pixels in each of 216 colours, six values of each channel: (216,), its sum is 1."""
    cells = (image / 256 * 6).astype(int) @ [36, 6, 1]
    return np.bincount(cells.ravel(), minlength=216) / cells.size


def measure_texture(image: np.ndarray) -> np.ndarray:
    """Return the strength, orientation and sparsity (logarithms) of an image's detail at four scales: (12,)."""
    features = []
    for band in compute_bands(image, 4):
        vertical, horizontal = np.abs(np.diff(band, axis=0)).mean(), np.abs(np.diff(band, axis=1)).mean()
        features += [np.log(band.std()), np.log(vertical / horizontal), np.log(band.std() / np.abs(band).mean())]
    return np.array(features)


def test_there_are_six_works_and_each_has_its_painter() -> None:
    assert [f"{name}.jpg" for name in sorted(PAINTERS)] == list(ARTWORK_NAMES)
    assert len(ARTWORK_NAMES) == 6


def test_an_unknown_work_is_refused_with_near_names() -> None:
    with pytest.raises(ArtDreamError, match=r"“nigth\.jpg”.*night\.jpg"):
        read_artwork("nigth.jpg")
    with pytest.raises(ArtDreamError, match=r"no artwork"):
        read_artwork("../__init__.py")


def test_reading_a_work_loads_no_painter() -> None:
    program = (
        "import sys; from worker.dreaming.artworks import list_artworks, read_artwork; "
        "read_artwork(list_artworks()[0]);"
        "print([m for m in ('numpy', 'PIL', 'keras', 'tools.house_artworks.canvas') if m in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout == "[]\n"


def test_together_the_works_stay_small() -> None:
    assert sum(len(read_artwork(name)) for name in ARTWORK_NAMES) <= 1_200_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mosaic", "wave"])  # the fastest two; the others use the same tools
def test_a_work_can_be_painted_again(name: str) -> None:
    buffer = io.BytesIO()
    save_jpeg(PAINTERS[name](), buffer)
    repainted, shipped = decode_jpeg(buffer.getvalue()), decode_jpeg(read_artwork(f"{name}.jpg"))
    assert repainted.shape == shipped.shape
    assert np.abs(repainted - shipped).mean() < 2, "paint them again: python -m tools.house_artworks"


@pytest.mark.parametrize("name", ARTWORK_NAMES)
def test_a_work_has_detail_at_every_scale_and_nothing_empty(name: str) -> None:
    image = decode_jpeg(read_artwork(name))
    assert max(image.shape[:2]) == 768
    assert [float(band.std()) for band in compute_bands(image, 5) if band.std() < 6] == []
    rows, columns = image.shape[0] // 6, image.shape[1] // 6
    cells = [
        image[r * rows : (r + 1) * rows, c * columns : (c + 1) * columns]
        for r, c in itertools.product(range(6), repeat=2)
    ]
    assert [float(compute_bands(cell, 1)[0].std()) for cell in cells if compute_bands(cell, 1)[0].std() < 3] == []


@pytest.mark.parametrize(("one", "other"), ARTWORK_PAIRS)
def test_no_two_works_share_palette_or_texture(one: str, other: str) -> None:
    first, second = decode_jpeg(read_artwork(one)), decode_jpeg(read_artwork(other))
    assert np.abs(compute_palette(first) - compute_palette(second)).sum() / 2 > 0.5  # 1: no colour in common
    assert np.linalg.norm(measure_texture(first) - measure_texture(second)) > 0.3
