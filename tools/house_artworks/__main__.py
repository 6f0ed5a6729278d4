"""Paint the artworks: `python -m tools.house_artworks [FOLDER]`. The same seeds give the same pictures."""

import sys
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from tools.house_artworks import facets, garden, mosaic, night, wave, window
from worker.dreaming import artworks

PAINTERS = {
    "facets": facets.paint,
    "garden": garden.paint,
    "mosaic": mosaic.paint,
    "night": night.paint,
    "wave": wave.paint,
    "window": window.paint,
}
#: The highest quality at which all six take at most 1.2 MB; with full chroma, pure colours lose nothing visible.
JPEG_QUALITY = 81


def save_jpeg(picture: Image.Image, out: Path | BinaryIO) -> None:
    """Save a picture as the JPEG that the wheel contains."""
    picture.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True, progressive=True)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(artworks.__file__).with_name(artworks.HOUSE_ARTIST)
    for name, paint in PAINTERS.items():
        save_jpeg(paint(), folder / f"{name}.jpg")
