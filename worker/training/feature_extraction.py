"""Feature extraction: a network's features and predictions for many pictures, cached in a file."""

import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from shared.private_folder import create_private_folder
from worker.networks.network import Network, Prediction
from worker.training.dataset import Painting
from worker.training.input_pipeline import open_picture

#: Pictures that are read for one call of the network; limits memory.
READ_BATCH_SIZE = 16


def extract_features(
    network: Network,
    paintings: Sequence[Painting],
    cache_file: Path | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Prediction:
    """Return the features and predictions of a network for paintings.

    cache_file: a result stored there is returned, a new result is stored there. The caller names it after network and
    data. on_progress: called with the completed share, 0 to 1. Raises ArtDreamError if a picture cannot be read.
    """
    if cache_file is not None and (cached := _read_cache(cache_file, len(paintings))):
        return cached
    batches = []
    for start in range(0, len(paintings), READ_BATCH_SIZE):
        batches.append(
            network.predict(
                [np.asarray(open_picture(painting.path)) for painting in paintings[start : start + READ_BATCH_SIZE]]
            )
        )
        on_progress(min(1.0, (start + READ_BATCH_SIZE) / len(paintings)))
    prediction = Prediction(*(np.concatenate(columns) for columns in zip(*batches, strict=True)))
    if cache_file is not None:
        buffer = io.BytesIO()
        np.savez(buffer, **prediction._asdict())
        create_private_folder(cache_file.parent)
        temporary_file = cache_file.with_suffix(".part")
        temporary_file.write_bytes(buffer.getvalue())
        temporary_file.replace(cache_file)
    return prediction


def _read_cache(cache_file: Path, count: int) -> Prediction | None:
    try:
        with np.load(cache_file, allow_pickle=False) as arrays:
            prediction = Prediction(arrays["features"], arrays["probabilities"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # the caller computes it again
        return None
    return prediction if len(prediction.features) == count else None
