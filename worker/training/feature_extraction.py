"""What a network sees in many pictures, kept so that nobody has to look twice."""

import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from worker.networks.network import Network, Prediction
from worker.training.dataset import Painting
from worker.training.input_pipeline import open_picture

#: Pictures that are read before they are looked at.
READ_BATCH_SIZE = 16


def extract_features(
    network: Network,
    paintings: Sequence[Painting],
    cache_file: Path | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Prediction:
    """Let a network look at paintings.

    kept: a file; what lies there is returned, and what was seen is put there. The caller names it after network and
    data. watch: is told the share that is done. Raises ArtDreamError where a picture cannot be read.
    """
    if cache_file is not None and (found := _read_cache(cache_file, len(paintings))):
        return found
    parts = []
    for start in range(0, len(paintings), READ_BATCH_SIZE):
        parts.append(
            network.predict([np.asarray(open_picture(one.path)) for one in paintings[start : start + READ_BATCH_SIZE]])
        )
        on_progress(min(1.0, (start + READ_BATCH_SIZE) / len(paintings)))
    seen = Prediction(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    if cache_file is not None:
        buffer = io.BytesIO()
        np.savez(buffer, **seen._asdict())
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        beside = cache_file.with_suffix(".part")
        beside.write_bytes(buffer.getvalue())
        beside.replace(cache_file)
    return seen


def _read_cache(cache_file: Path, count: int) -> Prediction | None:
    try:
        with np.load(cache_file, allow_pickle=False) as arrays:
            seen = Prediction(arrays["features"], arrays["probabilities"])
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        zipfile.BadZipFile,
    ):  # made anew
        return None
    return seen if len(seen.features) == count else None
