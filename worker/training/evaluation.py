"""How well a network tells artists apart, on pictures that it did not learn from."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from shared.errors import ArtDreamError, did_you_mean
from worker.networks.class_names import plain
from worker.networks.network import Network, Seen
from worker.training.dataset import Painting
from worker.training.feature_extraction import seen_in

#: Bins of the calibration error (Guo et al., “On Calibration of Modern Neural Networks”, arXiv 1706.04599).
BINS = 15

#: Pairs of artists that are told, and pictures of each.
PAIRS, EXAMPLES = 12, 4


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class OfArtist(_Frozen):
    """How well one artist is known."""

    artist: str
    pictures: int
    #: Of the pictures that were taken for this artist's, the share that is.
    precision: float
    #: Of this artist's pictures, the share that was known.
    recall: float
    f1: float


class Confusion(_Frozen):
    """An artist whose pictures are taken for another's."""

    artist: str
    taken_for: str
    times: int
    #: Files of such pictures, those of which the network was surest first.
    examples: tuple[str, ...]


class Evaluation(_Frozen):
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
    artists: tuple[OfArtist, ...]
    confused: tuple[Confusion, ...]
    #: Rows: whose picture; columns: whom it was taken for; in the order of `classes`.
    matrix: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, network: Network, seen: Seen, told: NDArray[np.int64], files: Sequence[Path]) -> Self:
        """Count. told: (pictures,) class of each picture, as a channel of the class map."""
        count = len(network.classes)
        order = np.argsort(-seen.probabilities, axis=1, kind="stable")
        answers = order[:, 0]
        matrix = np.zeros((count, count), np.int64)
        np.add.at(matrix, (told, answers), 1)
        artists = tuple(
            _of_artist(network.classes[index], matrix, index) for index in range(count) if matrix[index].any()
        )
        return cls(
            network=network.name,
            weights=network.digest,
            pictures=len(told),
            top1=float(np.mean(answers == told)),
            top5=float(np.mean((order[:, :5] == told[:, None]).any(axis=1))),
            macro_f1=float(np.mean([one.f1 for one in artists])),
            calibration_error=_calibration_error(seen.probabilities.max(axis=1), answers == told),
            artists=artists,
            confused=tuple(_confused(network.classes, matrix, seen, told, answers, files)),
            matrix=tuple(map(tuple, matrix.tolist())),
            classes=network.classes,
        )


def evaluate(
    network: Network,
    paintings: Sequence[Painting],
    artists: Sequence[str],
    watch: Callable[[float], None] = lambda _: None,
) -> Evaluation:
    """Let a network name the artists of paintings.

    artists: names of the paintings' artists; they may be written without accents. watch: is told the share that is
    done. Raises ArtDreamError for an artist that the network does not know, and a picture that is none.
    """
    if not paintings:
        raise ArtDreamError("There are no pictures to evaluate on: name a folder that has one folder for each artist.")
    told = told_artists(network, paintings, artists)
    return Evaluation.of(network, seen_in(network, paintings, watch=watch), told, [one.path for one in paintings])


def told_artists(network: Network, paintings: Sequence[Painting], artists: Sequence[str]) -> NDArray[np.int64]:
    """Return whose the paintings are, as channels of a network's class map: (paintings,).

    Raises ArtDreamError for an artist that the network does not know.
    """
    known = {plain(name): index for index, name in enumerate(network.classes)}
    for artist in artists:
        if plain(artist) not in known:
            raise ArtDreamError(
                f"The network {network.name} does not know “{artist}”: take the folder out. "
                f"{did_you_mean(artist, network.classes)}"
            )
    return np.array([known[plain(artists[one.artist])] for one in paintings])


def _of_artist(name: str, matrix: NDArray[np.int64], index: int) -> OfArtist:
    right, taken, own = matrix[index, index], matrix[:, index].sum(), matrix[index].sum()
    return OfArtist(
        artist=name,
        pictures=int(own),
        precision=float(right / max(taken, 1)),
        recall=float(right / own),
        f1=float(2 * right / (taken + own)),
    )


def _confused(
    classes: Sequence[str],
    matrix: NDArray[np.int64],
    seen: Seen,
    told: NDArray[np.int64],
    answers: NDArray[np.int64],
    files: Sequence[Path],
) -> list[Confusion]:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    pairs = np.dstack(np.unravel_index(np.argsort(-wrong, axis=None, kind="stable")[:PAIRS], wrong.shape))[0]
    found = []
    for artist, taken in pairs.tolist():
        if wrong[artist, taken]:
            cases = np.flatnonzero((told == artist) & (answers == taken))
            surest = cases[np.argsort(-seen.probabilities[cases, taken])][:EXAMPLES]
            found.append(
                Confusion(
                    artist=classes[artist],
                    taken_for=classes[taken],
                    times=int(wrong[artist, taken]),
                    examples=tuple(str(files[case]) for case in surest),
                )
            )
    return found


def _calibration_error(sure: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    apart = [
        abs(sure[bins == one].mean() - right[bins == one].mean()) * (bins == one).sum() for one in set(bins.tolist())
    ]
    return float(sum(apart) / len(sure))
