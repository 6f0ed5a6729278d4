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
from worker.training.dataset.manifest import MANIFEST_FILE, Manifest, ManifestEntry
from worker.training.dataset.near_duplicates import compute_perceptual_hash, group_near_duplicates
from worker.training.dataset.sources import SourcePicture
from worker.training.dataset.split import SPLIT_SHARES, split

#: Pixels: short sides are made no longer than this. A network that learns from 224 cuts pieces out of more.
MAX_SHORT_SIDE = 384

JPEG_QUALITY = 92

#: Pictures with more pixels than this are refused.
MAX_PIXELS = 400_000_000

#: Where converted pictures wait for their part; what lies there already is not made again.
_STAGING_FOLDER = ".converted"


class RejectedFile(NamedTuple):
    """A file that is no picture."""

    path: Path
    reason: str


class BuildResult(NamedTuple):
    """What came of organising."""

    manifest: Manifest
    rejected: list[RejectedFile]


class _ConvertedPicture(NamedTuple):
    source_digest: str
    output_digest: str
    perceptual_hash: int


def build_dataset(
    sources: Sequence[SourcePicture],
    target: Path,
    *,
    seed: int = 0,
    side: int = MAX_SHORT_SIDE,
    on_progress: Callable[[float], None] = lambda _: None,
) -> BuildResult:
    """Make a data set of paintings in a folder: `<part>/<artist>/<number>.jpg` and a manifest.

    All become upright JPEGs of three colours, so that neither size nor mode of a file gives its artist away. Killed and
    called again, it converts what is left. watch: is told the share of pictures that are converted. Raises
    ArtDreamError where the folder holds something else, and where no picture is left.
    """
    _require_empty_or_resumable(target)
    staging = target / _STAGING_FOLDER
    staging.mkdir(parents=True, exist_ok=True)
    convert = partial(_convert_picture, staging=staging, side=side)
    made: list[tuple[SourcePicture, _ConvertedPicture]] = []
    refused: list[RejectedFile] = []
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        outcomes = pool.map(convert, [one.path for one in sources], chunksize=16)
        for done, (one, outcome) in enumerate(zip(sources, outcomes, strict=True), start=1):
            if isinstance(outcome, str):
                refused.append(RejectedFile(one.path, outcome))
            else:
                made.append((one, outcome))
            on_progress(done / len(sources))
    if not made:
        raise ArtDreamError(f"None of the {len(sources)} files can be decoded: is {sources[0].path} a picture?")
    # The same file twice is one picture.
    pictures = list({(one.artist, outcome.source_digest): (one, outcome) for one, outcome in made}.values())
    numbers = group_near_duplicates([outcome.perceptual_hash for _, outcome in pictures]).tolist()
    parts = split([one.artist for one, _ in pictures], numbers, seed)
    entries = []
    for (one, outcome), part, group in zip(pictures, parts, numbers, strict=True):
        path = Path(part, one.artist.replace(" ", "_"), f"{one.path.stem}-{outcome.source_digest[:8]}.jpg")
        (target / path.parent).mkdir(parents=True, exist_ok=True)
        (target / path).unlink(missing_ok=True)
        os.link(staging / f"{outcome.source_digest}-{side}.jpg", target / path)
        entries.append(
            ManifestEntry(
                path=path.as_posix(),
                artist=one.artist,
                part=part,
                source=outcome.source_digest,
                written=outcome.output_digest,
                group=group,
            )
        )
    manifest = Manifest(seed=seed, shares=dict(SPLIT_SHARES), side=side, entries=tuple(entries))
    manifest.save(target)
    for path in staging.iterdir():
        path.unlink()
    staging.rmdir()
    return BuildResult(manifest, refused)


def _require_empty_or_resumable(target: Path) -> None:
    try:
        there = {path.name for path in target.iterdir()} if target.exists() else set()
    except OSError as error:
        raise ArtDreamError(f"{target} cannot be used: {error.strerror}.") from error
    if MANIFEST_FILE in there:
        raise ArtDreamError(f"{target} is a data set already: name another folder, or delete this one.")
    if there - {_STAGING_FOLDER, "train", "val", "test", ".DS_Store"} or (there and _STAGING_FOLDER not in there):
        raise ArtDreamError(f"{target} holds something else: name an empty folder, or one that is not there yet.")


def _convert_picture(path: Path, *, staging: Path, side: int) -> _ConvertedPicture | str:
    """Convert a picture into the staging folder, unless it is there. Returns the reason where it is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    digest = hashlib.sha256(content).hexdigest()
    target = staging / f"{digest}-{side}.jpg"
    if not target.exists():
        try:
            data = _encode_jpeg(content, side)
        except Exception as error:  # a damaged picture can raise nearly anything
            return f"cannot be decoded: {str(error).partition(chr(10))[0] or type(error).__name__}"
        beside = target.with_suffix(f".{os.getpid()}")
        beside.write_bytes(data)
        beside.replace(target)
    written = target.read_bytes()
    with Image.open(io.BytesIO(written)) as picture:
        return _ConvertedPicture(digest, hashlib.sha256(written).hexdigest(), compute_perceptual_hash(picture))


def _encode_jpeg(content: bytes, side: int) -> bytes:
    with Image.open(io.BytesIO(content)) as picture:
        if picture.width * picture.height > MAX_PIXELS:
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
    colours.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
