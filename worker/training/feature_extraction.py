"""What a network sees in many pictures, kept so that nobody has to look twice."""

import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from worker.networks.network import Network, Seen
from worker.training.dataset import Painting
from worker.training.input_pipeline import read

#: Pictures that are read before they are looked at.
BATCH = 16


def seen_in(
    network: Network,
    paintings: Sequence[Painting],
    kept: Path | None = None,
    watch: Callable[[float], None] = lambda _: None,
) -> Seen:
    """Let a network look at paintings.

    kept: a file; what lies there is returned, and what was seen is put there. The caller names it after network and
    data. watch: is told the share that is done. Raises ArtDreamError where a picture cannot be read.
    """
    if kept is not None and (found := _found(kept, len(paintings))):
        return found
    parts = []
    for start in range(0, len(paintings), BATCH):
        parts.append(network.look([np.asarray(read(one.path)) for one in paintings[start : start + BATCH]]))
        watch(min(1.0, (start + BATCH) / len(paintings)))
    seen = Seen(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    if kept is not None:
        buffer = io.BytesIO()
        np.savez(buffer, **seen._asdict())
        kept.parent.mkdir(parents=True, exist_ok=True)
        beside = kept.with_suffix(".part")
        beside.write_bytes(buffer.getvalue())
        beside.replace(kept)
    return seen


def _found(kept: Path, count: int) -> Seen | None:
    try:
        with np.load(kept, allow_pickle=False) as arrays:
            seen = Seen(arrays["features"], arrays["probabilities"])
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        zipfile.BadZipFile,
    ):  # made anew
        return None
    return seen if len(seen.features) == count else None
