"""How well a network tells artists apart, on pictures that it did not learn from."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from shared.errors import ArtDreamError, did_you_mean
from worker.networks.class_names import normalize_name
from worker.networks.network import Network, Prediction
from worker.training.dataset import Painting
from worker.training.feature_extraction import extract_features

#: Bins of the calibration error (Guo et al., “On Calibration of Modern Neural Networks”, arXiv 1706.04599).
CALIBRATION_BINS = 15

#: Pairs of artists that are told, and pictures of each.
MAX_CONFUSED_PAIRS, EXAMPLES_PER_PAIR = 12, 4


class _FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True)


class ArtistScore(_FrozenModel):
    """How well one artist is known."""

    artist: str
    pictures: int
    #: Of the pictures that were taken for this artist's, the share that is.
    precision: float
    #: Of this artist's pictures, the share that was known.
    recall: float
    f1: float


class Confusion(_FrozenModel):
    """An artist whose pictures are taken for another's."""

    artist: str
    taken_for: str
    times: int
    #: Files of such pictures, those of which the network was surest first.
    examples: tuple[str, ...]


class Evaluation(_FrozenModel):
    """What a network answered about pictures, and what they are."""

    network: str
    #: SHA-256 of the network's file.
    weights: str
    pictures: int
    #: The share of pictures whose artist is the first answer, and among the first five.
    top1: float
    top5: float
    #: Mean over the artists that occur of their F1, the rare ones counting as much as the others.
    macro_f1: float
    #: Mean distance of how sure the network is and how often it is right, over equal bins of sureness.
    calibration_error: float
    artists: tuple[ArtistScore, ...]
    confused: tuple[Confusion, ...]
    #: Rows: whose picture; columns: whom it was taken for; in the order of `classes`.
    matrix: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]

    @classmethod
    def from_prediction(
        cls, network: Network, prediction: Prediction, labels: NDArray[np.int64], files: Sequence[Path]
    ) -> Self:
        """Count. told: (pictures,) class of each picture, as a channel of the class map."""
        count = len(network.classes)
        order = np.argsort(-prediction.probabilities, axis=1, kind="stable")
        answers = order[:, 0]
        matrix = np.zeros((count, count), np.int64)
        np.add.at(matrix, (labels, answers), 1)
        artists = tuple(
            _score_artist(network.classes[index], matrix, index) for index in range(count) if matrix[index].any()
        )
        return cls(
            network=network.name,
            weights=network.digest,
            pictures=len(labels),
            top1=float(np.mean(answers == labels)),
            top5=float(np.mean((order[:, :5] == labels[:, None]).any(axis=1))),
            macro_f1=float(np.mean([one.f1 for one in artists])),
            calibration_error=_compute_calibration_error(prediction.probabilities.max(axis=1), answers == labels),
            artists=artists,
            confused=tuple(_find_confusions(network.classes, matrix, prediction, labels, answers, files)),
            matrix=tuple(map(tuple, matrix.tolist())),
            classes=network.classes,
        )


def evaluate(
    network: Network,
    paintings: Sequence[Painting],
    artists: Sequence[str],
    on_progress: Callable[[float], None] = lambda _: None,
) -> Evaluation:
    """Let a network name the artists of paintings.

    artists: names of the paintings' artists; they may be written without accents. watch: is told the share that is
    done. Raises ArtDreamError for an artist that the network does not know, and a picture that is none.
    """
    if not paintings:
        raise ArtDreamError("There are no pictures to evaluate on: name a folder that has one folder for each artist.")
    told = label_paintings(network, paintings, artists)
    return Evaluation.from_prediction(
        network, extract_features(network, paintings, on_progress=on_progress), told, [one.path for one in paintings]
    )


def label_paintings(network: Network, paintings: Sequence[Painting], artists: Sequence[str]) -> NDArray[np.int64]:
    """Return whose the paintings are, as channels of a network's class map: (paintings,).

    Raises ArtDreamError for an artist that the network does not know.
    """
    known = {normalize_name(name): index for index, name in enumerate(network.classes)}
    for artist in artists:
        if normalize_name(artist) not in known:
            raise ArtDreamError(
                f"The network {network.name} does not know “{artist}”: take the folder out. "
                f"{did_you_mean(artist, network.classes)}"
            )
    return np.array([known[normalize_name(artists[one.artist])] for one in paintings])


def _score_artist(name: str, matrix: NDArray[np.int64], artist_index: int) -> ArtistScore:
    right, taken, own = matrix[artist_index, artist_index], matrix[:, artist_index].sum(), matrix[artist_index].sum()
    return ArtistScore(
        artist=name,
        pictures=int(own),
        precision=float(right / max(taken, 1)),
        recall=float(right / own),
        f1=float(2 * right / (taken + own)),
    )


def _find_confusions(
    classes: Sequence[str],
    matrix: NDArray[np.int64],
    prediction: Prediction,
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    files: Sequence[Path],
) -> list[Confusion]:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    pairs = np.dstack(np.unravel_index(np.argsort(-wrong, axis=None, kind="stable")[:MAX_CONFUSED_PAIRS], wrong.shape))[
        0
    ]
    found = []
    for artist, taken in pairs.tolist():
        if wrong[artist, taken]:
            cases = np.flatnonzero((labels == artist) & (predicted == taken))
            surest = cases[np.argsort(-prediction.probabilities[cases, taken])][:EXAMPLES_PER_PAIR]
            found.append(
                Confusion(
                    artist=classes[artist],
                    taken_for=classes[taken],
                    times=int(wrong[artist, taken]),
                    examples=tuple(str(files[case]) for case in surest),
                )
            )
    return found


def _compute_calibration_error(confidences: NDArray[np.float32], is_correct: NDArray[np.bool_]) -> float:
    bins = np.minimum((confidences * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    apart = [
        abs(confidences[bins == one].mean() - is_correct[bins == one].mean()) * (bins == one).sum()
        for one in set(bins.tolist())
    ]
    return float(sum(apart) / len(confidences))
