"""Organising: from paintings as they come to a data set, each picture converted once and in its part."""

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

from shared.errors import ArtDreamError
from worker.training.dataset.manifest import FILE, Entry, Manifest
from worker.training.dataset.near_duplicates import fingerprint, groups
from worker.training.dataset.sources import Found
from worker.training.dataset.split import SHARES, split

#: Pixels: short sides are made no longer than this. A network that learns from 224 cuts pieces out of more.
SIDE = 384

QUALITY = 92

#: Pictures with more pixels than this are refused.
MOST_PIXELS = 400_000_000

#: Where converted pictures wait for their part; what lies there already is not made again.
_BENCH = ".converted"


class Refused(NamedTuple):
    """A file that is no picture."""

    path: Path
    reason: str


class Organised(NamedTuple):
    """What came of organising."""

    manifest: Manifest
    refused: list[Refused]


class _Converted(NamedTuple):
    source: str
    written: str
    fingerprint: int


def organise(
    found: Sequence[Found],
    target: Path,
    *,
    seed: int = 0,
    side: int = SIDE,
    watch: Callable[[float], None] = lambda _: None,
) -> Organised:
    """Make a data set of paintings in a folder: `<part>/<artist>/<number>.jpg` and a manifest.

    All become upright JPEGs of three colours, so that neither size nor mode of a file gives its artist away. Killed and
    called again, it converts what is left. watch: is told the share of pictures that are converted. Raises
    ArtDreamError where the folder holds something else, and where no picture is left.
    """
    _require_own(target)
    bench = target / _BENCH
    bench.mkdir(parents=True, exist_ok=True)
    convert = partial(_converted, bench=bench, side=side)
    made: list[tuple[Found, _Converted]] = []
    refused: list[Refused] = []
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        outcomes = pool.map(convert, [one.path for one in found], chunksize=16)
        for done, (one, outcome) in enumerate(zip(found, outcomes, strict=True), start=1):
            if isinstance(outcome, str):
                refused.append(Refused(one.path, outcome))
            else:
                made.append((one, outcome))
            watch(done / len(found))
    if not made:
        raise ArtDreamError(f"None of the {len(found)} files can be decoded: is {found[0].path} a picture?")
    # The same file twice is one picture.
    pictures = list({(one.artist, outcome.source): (one, outcome) for one, outcome in made}.values())
    numbers = groups([outcome.fingerprint for _, outcome in pictures]).tolist()
    parts = split([one.artist for one, _ in pictures], numbers, seed)
    entries = []
    for (one, outcome), part, group in zip(pictures, parts, numbers, strict=True):
        path = Path(part, one.artist.replace(" ", "_"), f"{one.path.stem}-{outcome.source[:8]}.jpg")
        (target / path.parent).mkdir(parents=True, exist_ok=True)
        (target / path).unlink(missing_ok=True)
        os.link(bench / f"{outcome.source}-{side}.jpg", target / path)
        entries.append(
            Entry(
                path=path.as_posix(),
                artist=one.artist,
                part=part,
                source=outcome.source,
                written=outcome.written,
                group=group,
            )
        )
    manifest = Manifest(seed=seed, shares=dict(SHARES), side=side, entries=tuple(entries))
    manifest.save(target)
    for path in bench.iterdir():
        path.unlink()
    bench.rmdir()
    return Organised(manifest, refused)


def _require_own(target: Path) -> None:
    try:
        there = {path.name for path in target.iterdir()} if target.exists() else set()
    except OSError as error:
        raise ArtDreamError(f"{target} cannot be used: {error.strerror}.") from error
    if FILE in there:
        raise ArtDreamError(f"{target} is a data set already: name another folder, or delete this one.")
    if there - {_BENCH, "train", "val", "test", ".DS_Store"} or (there and _BENCH not in there):
        raise ArtDreamError(f"{target} holds something else: name an empty folder, or one that is not there yet.")


def _converted(path: Path, *, bench: Path, side: int) -> _Converted | str:
    """Convert a picture onto the bench, unless it lies there. Returns the reason where it is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    digest = hashlib.sha256(content).hexdigest()
    target = bench / f"{digest}-{side}.jpg"
    if not target.exists():
        try:
            data = _jpeg(content, side)
        except Exception as error:  # a damaged picture can raise nearly anything
            return f"cannot be decoded: {str(error).partition(chr(10))[0] or type(error).__name__}"
        beside = target.with_suffix(f".{os.getpid()}")
        beside.write_bytes(data)
        beside.replace(target)
    written = target.read_bytes()
    with Image.open(io.BytesIO(written)) as picture:
        return _Converted(digest, hashlib.sha256(written).hexdigest(), fingerprint(picture))


def _jpeg(content: bytes, side: int) -> bytes:
    with Image.open(io.BytesIO(content)) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"it has {picture.width} × {picture.height} pixels")
        picture.draft("RGB", (2 * side, 2 * side))
        upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith(("I;16", "I")):
        upright = upright.point(lambda value: value / 256).convert("L")
    if "A" in upright.getbands() or "transparency" in upright.info:
        alpha = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", alpha.size, "white"), alpha)
    colours = upright.convert("RGB")
    scale = side / min(colours.size)
    if scale < 1:
        size = (max(side, round(colours.width * scale)), max(side, round(colours.height * scale)))
        colours = colours.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    colours.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
