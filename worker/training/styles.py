"""Compute the style statistics of a network's artists, from a few of the most distinctive works of each.

The mean over many works is less distinctive: their strokes and colours blend into a grey that no single work has.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from keras import ops
from numpy.typing import NDArray

from worker.backend import compile_function
from worker.dreaming.style_measures import grain, gram_matrix, palette
from worker.networks.network import Network
from worker.networks.style_statistics import StyleStatistics
from worker.training.dataset import Painting
from worker.training.input_pipeline import Floats, load_center_crops
from worker.training.trial import Trial

#: Parts of the work, in their order.
Phase = Literal["looking", "trying"]

#: Layers of `lite` and of networks trained from it that are measured, and the rank to which their Gram matrices are
#: reduced: the leading directions hold nearly all of them, and the file stays small.
STYLE_LAYERS = {"block0": 16, "block1": 12, "block2": 12, "block4": 12, "block5": 8, "block8": 8}

#: Pixels: the side of the paintings that are measured, the largest short side of a data set's pictures.
STYLE_SIDE = 384

#: Pixels: the squares over which the colours of a painting are averaged.
STYLE_PALETTE_SQUARE = 6

#: Works of each artist that are kept, and among how many different ones they are chosen by trying them.
WORKS_PER_ARTIST, TRIED_WORKS_PER_ARTIST = 3, 8

#: A work counts as distinctive by its log-odds by style alone, and by these weights of the network's log-probability,
#: and of the logarithms of its colourfulness and contrast: pale works are no less typical, but dreams in their manner
#: show little of a photo, and are hardly seen from afar. Chosen by looking at the works and at dreams.
NETWORK_WEIGHT, CHROMA_WEIGHT, CONTRAST_WEIGHT = 0.5, 1.5, 1.0

#: Keeps the log-odds of a certain artist finite.
LOG_PROBABILITY_EPSILON = 1e-6

#: Least log-odds and log-probability that are distinguished, and the least colourfulness and contrast, of Lab ÷ 100.
MIN_LOG_PROBABILITY, MIN_CHROMA, MIN_CONTRAST = -6.0, 0.02, 0.01

#: Mean lightness and contrast, of Lab ÷ 100, outside which a work is taken only if the artist has too few others: in
#: the manner of a canvas that is nearly white, black or of one colour, nothing is left of a photo.
MIN_LIGHTNESS, MAX_LIGHTNESS, MIN_LEGIBLE_CONTRAST = 0.15, 0.88, 0.05

#: Largest share of the other artists whose colours may be nearer to those of a work than its own artist's are: a work
#: in other colours than usual is taken only if the artist has too few others.
MAX_NEARER_PALETTES = 0.2

#: Log-odds, and contrast, of Lab ÷ 100, above which more of it counts no longer.
MAX_LOG_ODDS, MAX_CONTRAST = 1.5, 0.2

#: Dimensions of a style for the classifier, and fewest works for each; weight of the mean loss of the works against the
#: penalty of its weights; and the folds of its cross-validation.
STYLE_DIMENSIONS, WORKS_PER_DIMENSION, LOSS_WEIGHT, FOLDS = 128, 8, 100, 5

#: Share of an artist's works, the most distinctive ones, among which different ones are looked for; and how different,
#: as a share of the median distance between them.
CANDIDATE_SHARE, MIN_DIFFERENCE = 1 / 3, 0.8

#: Paintings that are measured in one call of the network.
BATCH_SIZE = 8


class ArtistStyles(NamedTuple):
    """Style statistics, and the works that they were measured in."""

    statistics: StyleStatistics
    #: (works,): index of each work in the paintings, best first for each artist.
    works: NDArray[np.int64]


def compute_style_statistics(
    network: Network,
    paintings: Sequence[Painting],
    labels: NDArray[np.int64],
    seed: int = 0,
    trial: Trial | None = None,
    on_progress: Callable[[Phase, float], None] = lambda *_: None,
) -> ArtistStyles:
    """Compute the style statistics of a network's artists.

    labels: (paintings,) artist of each painting, as a channel of the class map. seed: of the choice of works. trial:
    chooses the works from more than are kept. on_progress: called with the completed share, 0 to 1, of a phase. Raises
    ArtDreamError if a picture cannot be decoded, or the network lacks one of STYLE_LAYERS.
    """
    layers = tuple(STYLE_LAYERS)
    class_map = str(network.class_map)
    features = network.feature_extractor((*layers, class_map))

    def measure(pictures: object) -> dict[str, object]:
        activations = features(pictures)
        grams = {layer: gram_matrix(activations[layer]) for layer in layers}
        class_scores = ops.log_softmax(ops.mean(activations[class_map], axis=(1, 2)))
        return grams | {
            "palettes": palette(pictures, STYLE_PALETTE_SQUARE),
            "grains": grain(pictures),
            "classes": class_scores,
        }

    measure_batch = compile_function(measure, input_specs=[((None, None, None, 3), "float32")], model=features)
    batches = []
    for start in range(0, len(paintings), BATCH_SIZE):
        pictures = load_center_crops(paintings[start : start + BATCH_SIZE], STYLE_SIDE)
        batches.append({key: np.asarray(value) for key, value in measure_batch(pictures).items()})
        on_progress("looking", min(1.0, (start + BATCH_SIZE) / len(paintings)))
    measures = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
    log_probabilities = measures.pop("classes")[np.arange(len(labels)), labels]
    work_count = TRIED_WORKS_PER_ARTIST if trial else WORKS_PER_ARTIST
    works = _choose_works(measures, labels, log_probabilities, work_count, seed)
    statistics = StyleStatistics(
        artist=labels[works].astype(np.int16),
        palettes=measures["palettes"][works],
        grains=measures["grains"][works],
        factors={layer: _factorize(measures[layer][works], rank) for layer, rank in STYLE_LAYERS.items()},
    )
    if trial:
        ratings = trial.rate(statistics, lambda fraction: on_progress("trying", fraction))
        best = _list_best(ratings, statistics.artist)
        statistics, works = statistics.take(best), works[best]
    return ArtistStyles(statistics, works)


def _list_best(ratings: Floats, artists: NDArray[np.int16]) -> list[int]:
    """Return the works of each artist that are rated best, best first."""
    best: list[int] = []
    for artist in np.unique(artists):
        own = np.flatnonzero(artists == artist)
        best += own[np.argsort(-ratings[own], kind="stable")][:WORKS_PER_ARTIST].tolist()
    return best


def _choose_works(
    measures: dict[str, Floats], labels: NDArray[np.int64], log_probabilities: Floats, count: int, seed: int
) -> NDArray[np.int64]:
    """Return the indexes of the chosen works: of each artist the most distinctive ones that differ from each other.

    log_probabilities: (paintings,) by the network, of each work's artist. count: works of each artist.
    """
    from sklearn.decomposition import PCA

    if len(labels) == 1:
        return np.zeros(1, np.int64)
    rows = np.concatenate([_standardize(_describe(values)) for values in measures.values()], axis=1)
    dimensions = min(STYLE_DIMENSIONS, max(1, len(rows) // WORKS_PER_DIMENSION))
    styles = PCA(dimensions, whiten=True, random_state=seed).fit_transform(rows)
    lightness, red_green, blue_yellow = measures["palettes"].transpose(1, 0, 2)[:3]
    chroma = np.sqrt(np.square(red_green).mean(axis=1) + np.square(blue_yellow).mean(axis=1))
    contrast = np.minimum(lightness.std(axis=1), MAX_CONTRAST)
    mean_lightness = lightness.mean(axis=1)
    is_legible = (mean_lightness > MIN_LIGHTNESS) & (mean_lightness < MAX_LIGHTNESS) & (contrast > MIN_LEGIBLE_CONTRAST)
    scores = (
        np.clip(_estimate_log_odds(styles, labels, seed), MIN_LOG_PROBABILITY, MAX_LOG_ODDS)
        + NETWORK_WEIGHT * np.maximum(log_probabilities, MIN_LOG_PROBABILITY)
        + CHROMA_WEIGHT * np.log(chroma + MIN_CHROMA)
        + CONTRAST_WEIGHT * np.log(contrast + MIN_CONTRAST)
    )
    chosen = []
    is_typical = _has_typical_palette(measures["palettes"], labels)
    for artist in np.unique(labels):
        own = np.flatnonzero(labels == artist)
        for preferred in (own[is_legible[own] & is_typical[own]], own[is_legible[own]]):
            if len(preferred) >= count:
                own = preferred
                break
        best_first = own[np.argsort(-scores[own])]
        candidates = best_first[: max(2 * count, int(CANDIDATE_SHARE * len(own)))]
        chosen += _choose_different(styles[candidates], candidates, count)
    return np.array(chosen)


def _has_typical_palette(palettes: Floats, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the colours of each work are nearer to all colours of its artist's works than to most others'.

    palettes: (paintings, directions, quantiles), as `worker.dreaming.style_measures` has them.
    """
    artists, columns = np.unique(labels, return_inverse=True)
    quantiles = (np.arange(palettes.shape[2]) + 0.5) / palettes.shape[2]
    artist_palettes = [
        np.quantile(palettes[columns == column].swapaxes(0, 1).reshape(palettes.shape[1], -1), quantiles, axis=1).T
        for column in range(len(artists))
    ]
    distances = np.stack([np.abs(palettes - palette).mean(axis=(1, 2)) for palette in artist_palettes], axis=1)
    own_distances = distances[np.arange(len(labels)), columns]
    nearer_counts = np.sum(distances < own_distances[:, None], axis=1)
    return np.asarray(nearer_counts <= MAX_NEARER_PALETTES * (len(artists) - 1))


def _estimate_log_odds(styles: Floats, labels: NDArray[np.int64], seed: int) -> Floats:
    """Return the log-odds of each work's artist by its style, of classifiers that have not seen the work."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    artists, columns, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(artists) < 2 or counts.min() < 2:
        return np.zeros(len(labels), np.float32)
    log_probabilities = cross_val_predict(
        LogisticRegression(C=LOSS_WEIGHT / len(labels), max_iter=300),
        styles,
        labels,
        cv=StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=seed),
        method="predict_log_proba",
    )
    own = np.minimum(log_probabilities[np.arange(len(labels)), columns], -LOG_PROBABILITY_EPSILON)
    return np.asarray(own - np.log1p(-np.exp(own)), np.float32)


def _choose_different(styles: Floats, works: NDArray[np.int64], count: int) -> list[int]:
    """Return the first works that differ enough from those before them; if there are too few, the first of the rest."""
    distances = np.linalg.norm(styles[:, None] - styles[None], axis=2)
    enough = MIN_DIFFERENCE * np.median(distances)
    chosen: list[int] = []
    for index in range(len(works)):
        if not chosen or distances[index, chosen].min() > enough:
            chosen.append(index)
    rest = [index for index in range(len(works)) if index not in chosen]
    return [int(works[index]) for index in sorted((chosen + rest)[:count])]


def _describe(values: Floats) -> Floats:
    """Return one row for each work: the logarithms of Gram matrices' diagonals, and the other measures as they are."""
    is_gram = values.ndim == 3 and values.shape[1] == values.shape[2]
    rows = np.log(np.diagonal(values, axis1=1, axis2=2) + 1e-6) if is_gram else values.reshape(len(values), -1)
    return np.asarray(rows, np.float32)


def _standardize(rows: Floats) -> Floats:
    """Centre the rows, and give each measure the same weight."""
    centred = rows - rows.mean(axis=0)
    standardized: Floats = centred / (np.sqrt(np.square(centred).sum(axis=1).mean()) + 1e-6)
    return standardized


def _factorize(grams: Floats, rank: int) -> Floats:
    """Return factors of symmetric matrices: (n, channels, channels) → (n, channels, rank)."""
    values, vectors = np.linalg.eigh(grams)
    factors = vectors[..., -rank:] * np.sqrt(np.maximum(values[:, None, -rank:], 0))
    return np.asarray(factors, np.float32)
