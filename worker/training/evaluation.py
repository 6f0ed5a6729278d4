"""Evaluation: how well a network classifies artists, on pictures that it was not trained on."""

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

#: Confused pairs of artists that are reported, and example pictures of each.
MAX_CONFUSED_PAIRS, EXAMPLES_PER_PAIR = 12, 4


class _FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True)


class ArtistScore(_FrozenModel):
    """The scores of one artist."""

    artist: str
    pictures: int
    #: Of the pictures that were predicted as this artist's, the share that is.
    precision: float
    #: Of this artist's pictures, the share that was predicted as such.
    recall: float
    f1: float


class Confusion(_FrozenModel):
    """An artist whose pictures are predicted as another's."""

    artist: str
    taken_for: str
    times: int
    #: Files of such pictures, the most confident predictions first.
    examples: tuple[str, ...]


class Evaluation(_FrozenModel):
    """The results of an evaluation, for the whole network and for each artist."""

    network: str
    #: SHA-256 of the network's file.
    weights: str
    pictures: int
    #: Share of the pictures whose artist is the most probable one, and among the five most probable.
    top1: float
    top5: float
    #: Mean F1 of the artists that occur, all with equal weight.
    macro_f1: float
    #: Expected calibration error: mean difference of confidence and accuracy, over bins of confidence of equal width.
    calibration_error: float
    artists: tuple[ArtistScore, ...]
    confused: tuple[Confusion, ...]
    #: Confusion matrix: rows are true artists, columns predicted ones, in the order of `classes`.
    matrix: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]

    @classmethod
    def from_prediction(
        cls, network: Network, prediction: Prediction, labels: NDArray[np.int64], files: Sequence[Path]
    ) -> Self:
        """Compare a prediction with the true artists.

        labels: (pictures,) class of each picture, as a channel of the class map. files: the pictures' files.
        """
        class_count = len(network.classes)
        order = np.argsort(-prediction.probabilities, axis=1, kind="stable")
        predicted = order[:, 0]
        matrix = np.zeros((class_count, class_count), np.int64)
        np.add.at(matrix, (labels, predicted), 1)
        artists = tuple(
            _score_artist(network.classes[index], matrix, index) for index in range(class_count) if matrix[index].any()
        )
        return cls(
            network=network.name,
            weights=network.digest,
            pictures=len(labels),
            top1=float(np.mean(predicted == labels)),
            top5=float(np.mean((order[:, :5] == labels[:, None]).any(axis=1))),
            macro_f1=float(np.mean([score.f1 for score in artists])),
            calibration_error=_compute_calibration_error(prediction.probabilities.max(axis=1), predicted == labels),
            artists=artists,
            confused=tuple(_find_confusions(network.classes, matrix, prediction, labels, predicted, files)),
            matrix=tuple(map(tuple, matrix.tolist())),
            classes=network.classes,
        )


def evaluate(
    network: Network,
    paintings: Sequence[Painting],
    artists: Sequence[str],
    on_progress: Callable[[float], None] = lambda _: None,
) -> Evaluation:
    """Evaluate a network on paintings.

    artists: names of the paintings' artists; they may be written without accents. on_progress: called with the
    completed share, 0 to 1. Raises ArtDreamError if there are no paintings, the network has no class for an artist, or
    a picture cannot be decoded.
    """
    if not paintings:
        raise ArtDreamError("There are no pictures to evaluate on: name a folder that has one folder for each artist.")
    labels = label_paintings(network, paintings, artists)
    return Evaluation.from_prediction(
        network,
        extract_features(network, paintings, on_progress=on_progress),
        labels,
        [painting.path for painting in paintings],
    )


def label_paintings(network: Network, paintings: Sequence[Painting], artists: Sequence[str]) -> NDArray[np.int64]:
    """Return the artists of paintings as channels of a network's class map: (paintings,) int64.

    Raises ArtDreamError if the network has no class for an artist.
    """
    channels = {normalize_name(name): index for index, name in enumerate(network.classes)}
    for artist in artists:
        if normalize_name(artist) not in channels:
            raise ArtDreamError(
                f"The network {network.name} does not know “{artist}”: take the folder out. "
                f"{did_you_mean(artist, network.classes)}"
            )
    return np.array([channels[normalize_name(artists[painting.artist])] for painting in paintings])


def _score_artist(name: str, matrix: NDArray[np.int64], artist_index: int) -> ArtistScore:
    correct, predicted, actual = (
        matrix[artist_index, artist_index],
        matrix[:, artist_index].sum(),
        matrix[artist_index].sum(),
    )
    return ArtistScore(
        artist=name,
        pictures=int(actual),
        precision=float(correct / max(predicted, 1)),
        recall=float(correct / actual),
        f1=float(2 * correct / (predicted + actual)),
    )


def _find_confusions(
    classes: Sequence[str],
    matrix: NDArray[np.int64],
    prediction: Prediction,
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    files: Sequence[Path],
) -> list[Confusion]:
    errors = matrix.copy()
    np.fill_diagonal(errors, 0)
    pairs = np.dstack(
        np.unravel_index(np.argsort(-errors, axis=None, kind="stable")[:MAX_CONFUSED_PAIRS], errors.shape)
    )[0]
    confusions = []
    for artist, taken_for in pairs.tolist():
        if errors[artist, taken_for]:
            cases = np.flatnonzero((labels == artist) & (predicted == taken_for))
            most_confident = cases[np.argsort(-prediction.probabilities[cases, taken_for])][:EXAMPLES_PER_PAIR]
            confusions.append(
                Confusion(
                    artist=classes[artist],
                    taken_for=classes[taken_for],
                    times=int(errors[artist, taken_for]),
                    examples=tuple(str(files[case]) for case in most_confident),
                )
            )
    return confusions


def _compute_calibration_error(confidences: NDArray[np.float32], is_correct: NDArray[np.bool_]) -> float:
    bins = np.minimum((confidences * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    weighted_gaps = [
        abs(confidences[bins == index].mean() - is_correct[bins == index].mean()) * (bins == index).sum()
        for index in set(bins.tolist())
    ]
    return float(sum(weighted_gaps) / len(confidences))
