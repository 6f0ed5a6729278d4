"""The fuzzing corpus: mutated files, from generated pictures and optionally from real ones.

The same seed gives the same files. Real pictures are copied only to the folder in which the producer runs.
"""

import io
import random
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pillow_heif
from PIL import Image

from producer.decoding.color_space import BT2020, PQ, get_chromaticities
from tests.fault.bombs import generate_bombs
from tests.fault.mutations import list_mutations
from tests.pictures import encode_heic, make_picture
from tests.producer.decoding.color_cases import encode_cicp_png, encode_deep_avif, make_signal
from tests.producer.decoding.color_cases import encode_heic as encode_heic_signal
from tests.producer.decoding.heic_files import encode_grid
from tests.producer.decoding.raw_files import (
    JPEG_OFFSET,
    LINEAR_RAW,
    make_jpeg_preview,
    make_plain_preview,
    make_raw_data,
    make_raw_file,
    make_tiled_preview,
)
from tests.producer.decoding.videos import encode_video, make_moving_pictures
from tests.producer.icc_profiles import make_display_p3_profile

#: Bytes of the largest real picture that is mutated: many small ones find more than a few large ones.
MAX_PICTURE_BYTES = 3_000_000

#: Names that a program, shell or terminal may misinterpret.
HOSTILE_NAMES = (
    b"line\nbreak.jpg", b"%2e%2e%2f%2e%2e%2fetc%2fpasswd.jpg", b"C:\\..\\evil.jpg", b"-rf.jpg", b"$(reboot).jpg",
    b"'; DROP TABLE files; --.jpg", b"<img src=x onerror=alert(1)>.jpg", "\U0001f984\u200d\U0001f308.jpg".encode(),
    b"\x1b[2J\x1b[31mred.jpg", b"\x07\x08\x7f.jpg", b"caf\xe9-\xff\xfe.jpg", "cod\u202egpj.exe.jpg".encode(),
    "\u200b\ufeff.jpg".encode(), b"CON.jpg", b"a" * 251 + b".jpg", "ä".encode() * 125 + b".jpg", b" .jpg", b"nothing",
    b"{0.__class__}%s%n.jpg", "e\u0301te\u0301.jpg".encode(), b"[bold red]markup[].jpg", b"\xed\xa0\x80.jpg",
    b"a\tb\rc.jpg",
)  # fmt: skip

#: EXIF with the orientation and the camera's maker.
SAMPLE_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x0f\0\2\0\0\0\4Abc\0\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"


class FuzzInput(NamedTuple):
    """A file of the corpus."""

    #: Name of the mutation.
    kind: str
    name: bytes
    data: bytes


def make_pictures() -> dict[str, bytes]:
    """Return small pictures in every accepted format, by file extension."""
    picture = make_picture(7, (96, 72))
    pictures = {
        "heic": encode_heic(picture),
        "tiles.heic": encode_grid(picture, (b"irot", 3)),
        "alpha.heic": encode_heic(picture.convert("RGBA")),
        "grey.heic": encode_heic(picture.convert("L")),
    }
    metadata = {"exif": SAMPLE_EXIF, "xmp": b"<x:xmpmeta/>" * 20, "icc_profile": make_display_p3_profile()}
    pillow_heif.from_pillow(picture).save(buffer := io.BytesIO(), quality=60, **metadata)
    pictures["tagged.heic"] = buffer.getvalue()
    formats: dict[str, tuple[str, dict[str, object]]] = {
        "jpg": ("JPEG", {"quality": 80}),
        "progressive.jpg": ("JPEG", {"progressive": True}),
        "png": ("PNG", {}),
        "webp": ("WEBP", {}),
        "lossless.webp": ("WEBP", {"lossless": True}),
        "tif": ("TIFF", {}),
        "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
        "deflate.tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
        "jpeg.tif": ("TIFF", {"compression": "jpeg"}),
        "avif": ("AVIF", {"speed": 10}),
        "tagged.avif": ("AVIF", {"speed": 10, "exif": SAMPLE_EXIF, "icc_profile": make_display_p3_profile()}),
        "tagged.jpg": ("JPEG", {"exif": SAMPLE_EXIF, "icc_profile": make_display_p3_profile()}),
    }
    for extension, (pillow_format, options) in formats.items():
        buffer = io.BytesIO()
        picture.save(buffer, pillow_format, **options)
        pictures[extension] = buffer.getvalue()
    for mode in ("P", "L", "LA", "RGBA", "1", "I;16"):
        buffer = io.BytesIO()
        (picture.convert("L") if mode == "I;16" else picture).convert(mode).save(buffer, "PNG")
        pictures[f"{mode.replace(';', '')}.png"] = buffer.getvalue()
    buffer = io.BytesIO()
    picture.convert("CMYK").save(buffer, "JPEG")
    frames = make_moving_pictures(9, (96, 72))
    videos = {
        "mp4": encode_video(frames, audio=True),
        "mov": encode_video(frames, container="mov", codec="libx265", pixel_format="yuv420p10le", colors=(9, 18, 9)),
    }
    return pictures | {"cmyk.jpg": buffer.getvalue()} | _make_phone_pictures() | videos


def _make_phone_pictures() -> dict[str, bytes]:
    """Return raw photos with previews, and HDR and deep grey in the formats that have them, by file extension."""
    preview, thumbnail = make_picture(7, (1024, 64)), make_plain_preview(make_picture(7, (96, 72)))
    signal = make_signal(get_chromaticities(BT2020), PQ)
    buffer = io.BytesIO()
    Image.fromarray(np.linspace(0, 1, 96 * 72, dtype=np.float32).reshape(72, 96)).save(buffer, "TIFF")
    nclx: dict[str, Any] = {
        "color_primaries": BT2020,
        "transfer_characteristics": PQ,
        "matrix_coefficients": 9,
        "full_range_flag": 1,
    }
    return {
        "dng": make_raw_file(thumbnail, [make_raw_data(), make_jpeg_preview(preview)]),
        "tiled.dng": make_raw_file(make_tiled_preview(preview), [make_raw_data(LINEAR_RAW)], order=">"),
        "thumbnail.dng": make_raw_file(thumbnail, [make_raw_data()]),
        "nef": make_raw_file(thumbnail, [make_jpeg_preview(preview, kind=JPEG_OFFSET), make_raw_data()], dng=False),
        "hdr.heic": encode_heic_signal(signal, 10, **nclx),
        "hdr.avif": encode_deep_avif(signal, BT2020, PQ),
        "hdr.png": encode_cicp_png(signal, BT2020, PQ, 16),
        "float.tif": buffer.getvalue(),
    }


def read_pictures(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below a folder of at most `MAX_PICTURE_BYTES`, by file name."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and 0 < path.stat().st_size <= MAX_PICTURE_BYTES
    )
    return {path.name: path.read_bytes() for path in files}


def generate_corpus(seed: int, count: int, folder: Path | None = None, *, large: bool = False) -> Iterator[FuzzInput]:
    """Yield `count` files: first hostile names and bombs, then mutated pictures of every format.

    folder: real pictures, mutated in turn with the generated ones. large: with the bombs that take long to make.
    """
    rng = random.Random(seed)
    photos = make_pictures()
    fixed_inputs = [FuzzInput("names", name, photos["jpg"] + name) for name in HOSTILE_NAMES]
    fixed_inputs += [FuzzInput("bombs and chimeras", name.encode(), data) for name, data in generate_bombs(large=large)]
    yield from fixed_inputs[:count]
    sources = [list(pictures.items()) for pictures in (photos, read_pictures(folder) if folder else {}) if pictures]
    cycles = [cycle(rng.sample(pictures, len(pictures))) for pictures in sources]
    for number in range(len(fixed_inputs), count):
        name, data = next(cycles[number % len(cycles)])
        mutation = rng.choice(list(list_mutations(data).items()))
        kind, mutated = mutation[0], mutation[1](data, rng)
        if rng.random() < 0.2:
            mutated = rng.choice(list(list_mutations(data).values())[:4])(mutated or data, rng)
        yield FuzzInput(kind, f"{number}-{name[-60:]}".encode(), mutated)
