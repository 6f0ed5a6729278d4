"""The corpus: files as no camera makes them, from pictures made here and, where they are given, from real ones.

The same seed gives the same files. Nothing of a real picture is kept anywhere but where a siege runs.
"""

import io
import random
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pillow_heif

from tests.fault.bombs import generate_bombs
from tests.fault.mutations import list_mutations
from tests.pictures import encode_heic, make_picture
from tests.producer.icc_profiles import make_display_p3_profile

#: Bytes of the largest real picture that is changed: many small ones tell more than a few large ones.
MAX_PICTURE_BYTES = 3_000_000

#: Names that some program, shell or terminal takes for something else.
HOSTILE_NAMES = (
    b"line\nbreak.jpg", b"%2e%2e%2f%2e%2e%2fetc%2fpasswd.jpg", b"C:\\..\\evil.jpg", b"-rf.jpg", b"$(reboot).jpg",
    b"'; DROP TABLE files; --.jpg", b"<img src=x onerror=alert(1)>.jpg", "\U0001f984\u200d\U0001f308.jpg".encode(),
    b"\x1b[2J\x1b[31mred.jpg", b"\x07\x08\x7f.jpg", b"caf\xe9-\xff\xfe.jpg", "cod\u202egpj.exe.jpg".encode(),
    "\u200b\ufeff.jpg".encode(), b"CON.jpg", b"a" * 251 + b".jpg", "ä".encode() * 125 + b".jpg", b" .jpg", b"nothing",
    b"{0.__class__}%s%n.jpg", "e\u0301te\u0301.jpg".encode(), b"[bold red]markup[].jpg", b"\xed\xa0\x80.jpg",
    b"a\tb\rc.jpg",
)  # fmt: skip


#: Says which way is up, and the camera.
SAMPLE_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x0f\0\2\0\0\0\4Abc\0\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"


class FuzzInput(NamedTuple):
    """A file that somebody drops."""

    #: What was done to it.
    kind: str
    name: bytes
    data: bytes


def make_pictures() -> dict[str, bytes]:
    """Return small pictures in every format that is taken, by their endings."""
    picture = make_picture(7, (96, 72))
    found = {
        "heic": encode_heic(picture),
        "alpha.heic": encode_heic(picture.convert("RGBA")),
        "grey.heic": encode_heic(picture.convert("L")),
    }
    said = {"exif": SAMPLE_EXIF, "xmp": b"<x:xmpmeta/>" * 20, "icc_profile": make_display_p3_profile()}
    pillow_heif.from_pillow(picture).save(buffer := io.BytesIO(), quality=60, **said)
    found["tagged.heic"] = buffer.getvalue()
    ways: dict[str, tuple[str, dict[str, object]]] = {
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
    for ending, (kind, options) in ways.items():
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        found[ending] = buffer.getvalue()
    for mode in ("P", "L", "LA", "RGBA", "1", "I;16"):
        buffer = io.BytesIO()
        (picture.convert("L") if mode == "I;16" else picture).convert(mode).save(buffer, "PNG")
        found[f"{mode.replace(';', '')}.png"] = buffer.getvalue()
    buffer = io.BytesIO()
    picture.convert("CMYK").save(buffer, "JPEG")
    return found | {"cmyk.jpg": buffer.getvalue()}


def read_pictures(folder: Path) -> dict[str, bytes]:
    """Return the pictures of a folder and below that are small enough, by name."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and 0 < path.stat().st_size <= MAX_PICTURE_BYTES
    )
    return {path.name: path.read_bytes() for path in files}


def generate_corpus(seed: int, count: int, folder: Path | None = None, *, large: bool = False) -> Iterator[FuzzInput]:
    """Yield `count` files, first those with odd names and the bombs, then changed pictures of every format, in turn.

    folder: real pictures, which are changed in turn with those made here. large: with what takes long to make.
    """
    chance = random.Random(seed)
    photos = make_pictures()
    first = [FuzzInput("names", name, photos["jpg"] + name) for name in HOSTILE_NAMES]
    first += [FuzzInput("bombs and chimeras", name.encode(), data) for name, data in generate_bombs(large=large)]
    yield from first[:count]
    found = [list(one.items()) for one in (photos, read_pictures(folder) if folder else {}) if one]
    turns = [cycle(chance.sample(one, len(one))) for one in found]
    for number in range(len(first), count):
        name, data = next(turns[number % len(turns)])
        mutation = chance.choice(list(list_mutations(data).items()))
        kind, changed = mutation[0], mutation[1](data, chance)
        if chance.random() < 0.2:
            changed = chance.choice(list(list_mutations(data).values())[:4])(changed or data, chance)
        yield FuzzInput(kind, f"{number}-{name[-60:]}".encode(), changed)
