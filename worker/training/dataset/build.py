"""Build a data set: convert each picture once, and assign it to a part."""

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

#: Pixels: longer short sides are scaled down to this. It leaves room for crops to a network's 224.
MAX_SHORT_SIDE = 384

JPEG_QUALITY = 92

#: Pixels of the largest accepted picture.
MAX_PIXELS = 400_000_000

#: Folder of converted pictures that have no part yet; a picture in it is not converted again.
_STAGING_FOLDER = ".converted"


class RejectedFile(NamedTuple):
    """A file that is not a picture."""

    path: Path
    reason: str


class BuildResult(NamedTuple):
    """The manifest of a new data set, and the rejected files."""

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
    """Build a data set of paintings in a folder: `<part>/<artist>/<name>-<digest>.jpg` and a manifest.

    All pictures become upright RGB JPEGs, so that neither size nor mode of a file reveals its artist. If a build was
    killed, calling it again converts the remaining pictures. seed: of the split. side: largest short side in pixels.
    on_progress: called with the share of converted pictures, 0 to 1. Raises ArtDreamError if the folder holds something
    else, or no file can be decoded.
    """
    _require_empty_or_resumable(target)
    staging = target / _STAGING_FOLDER
    staging.mkdir(parents=True, exist_ok=True)
    convert = partial(_convert_picture, staging=staging, side=side)
    converted: list[tuple[SourcePicture, _ConvertedPicture]] = []
    rejected: list[RejectedFile] = []
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        outcomes = pool.map(convert, [source.path for source in sources], chunksize=16)
        for done, (source, outcome) in enumerate(zip(sources, outcomes, strict=True), start=1):
            if isinstance(outcome, str):
                rejected.append(RejectedFile(source.path, outcome))
            else:
                converted.append((source, outcome))
            on_progress(done / len(sources))
    if not converted:
        raise ArtDreamError(f"None of the {len(sources)} files can be decoded: is {sources[0].path} a picture?")
    # The same file twice is one picture.
    pictures = list(
        {(source.artist, outcome.source_digest): (source, outcome) for source, outcome in converted}.values()
    )
    groups = group_near_duplicates([outcome.perceptual_hash for _, outcome in pictures]).tolist()
    parts = split([source.artist for source, _ in pictures], groups, seed)
    entries = []
    for (source, outcome), part, group in zip(pictures, parts, groups, strict=True):
        path = Path(part, source.artist.replace(" ", "_"), f"{source.path.stem}-{outcome.source_digest[:8]}.jpg")
        (target / path.parent).mkdir(parents=True, exist_ok=True)
        (target / path).unlink(missing_ok=True)
        os.link(staging / f"{outcome.source_digest}-{side}.jpg", target / path)
        entries.append(
            ManifestEntry(
                path=path.as_posix(),
                artist=source.artist,
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
    return BuildResult(manifest, rejected)


def _require_empty_or_resumable(target: Path) -> None:
    try:
        names = {path.name for path in target.iterdir()} if target.exists() else set()
    except OSError as error:
        raise ArtDreamError(f"{target} cannot be used: {error.strerror}.") from error
    if MANIFEST_FILE in names:
        raise ArtDreamError(f"{target} is a data set already: name another folder, or delete this one.")
    if names - {_STAGING_FOLDER, "train", "val", "test", ".DS_Store"} or (names and _STAGING_FOLDER not in names):
        raise ArtDreamError(f"{target} holds something else: name an empty folder, or one that is not there yet.")


def _convert_picture(path: Path, *, staging: Path, side: int) -> _ConvertedPicture | str:
    """Convert a picture into the staging folder, unless it is there. Returns the reason if it cannot be decoded."""
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
        temporary_file = target.with_suffix(f".{os.getpid()}")
        temporary_file.write_bytes(data)
        temporary_file.replace(target)
    output = target.read_bytes()
    with Image.open(io.BytesIO(output)) as picture:
        return _ConvertedPicture(digest, hashlib.sha256(output).hexdigest(), compute_perceptual_hash(picture))


def _encode_jpeg(content: bytes, side: int) -> bytes:
    with Image.open(io.BytesIO(content)) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError(f"it has {picture.width} × {picture.height} pixels")
        picture.draft("RGB", (2 * side, 2 * side))
        upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith(("I;16", "I")):
        upright = upright.point(lambda value: value / 256).convert("L")
    if "A" in upright.getbands() or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    rgb = upright.convert("RGB")
    scale = side / min(rgb.size)
    if scale < 1:
        size = (max(side, round(rgb.width * scale)), max(side, round(rgb.height * scale)))
        rgb = rgb.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    rgb.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
