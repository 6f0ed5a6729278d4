"""Compute the style statistics of a network's artists from their paintings."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from worker.backend import compile_function
from worker.dreaming.style_measures import grain, gram_matrix, palette
from worker.networks.network import Network
from worker.networks.style_statistics import StyleStatistics
from worker.training.dataset import Painting
from worker.training.input_pipeline import Floats, load_center_crops

#: Layers of `lite` and of networks trained from it that are measured, and the rank to which their mean Gram matrices
#: are reduced: the leading directions hold nearly all of them, and the file stays small.
STYLE_LAYERS = {"block0": 16, "block1": 12, "block2": 12, "block4": 12, "block5": 8, "block8": 8}

#: Pixels: the side of the paintings that are measured.
STYLE_SIDE = 256

#: Pixels: the squares over which the colours of a painting are averaged. Half as many as those of a dream, whose canvas
#: is about twice as large.
STYLE_PALETTE_SQUARE = 4

#: Works of an artist for each cluster, and the fewest and most clusters.
WORKS_PER_CLUSTER, CLUSTER_LIMITS = 12, (2, 4)

#: Paintings that are measured in one call of the network.
BATCH_SIZE = 16


def compute_style_statistics(
    network: Network,
    paintings: Sequence[Painting],
    labels: NDArray[np.int64],
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda _: None,
) -> StyleStatistics:
    """Compute the style statistics of a network's artists.

    labels: (paintings,) artist of each painting, as a channel of the class map. seed: of the clusters. on_progress:
    called with the completed share, 0 to 1. Raises ArtDreamError if a picture cannot be decoded, or the network lacks
    one of STYLE_LAYERS.
    """
    layers = tuple(STYLE_LAYERS)
    features = network.feature_extractor(layers)

    def measure(pictures: object) -> dict[str, object]:
        activations = features(pictures)
        grams = {layer: gram_matrix(activations[layer]) for layer in layers}
        return grams | {"palettes": palette(pictures, STYLE_PALETTE_SQUARE), "grains": grain(pictures)}

    measure_batch = compile_function(measure, input_specs=[((None, None, None, 3), "float32")], model=features)
    batches = []
    for start in range(0, len(paintings), BATCH_SIZE):
        pictures = load_center_crops(paintings[start : start + BATCH_SIZE], STYLE_SIDE)
        batches.append({key: np.asarray(value) for key, value in measure_batch(pictures).items()})
        on_progress(min(1.0, (start + BATCH_SIZE) / len(paintings)))
    measures = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
    clusters = _cluster_works(measures, labels, seed)
    means = {key: np.stack([values[members].mean(axis=0) for members in clusters]) for key, values in measures.items()}
    palettes = np.stack([_find_typical(measures["palettes"][members]) for members in clusters])
    return StyleStatistics(
        artist=np.array([labels[members[0]] for members in clusters], np.int16),
        works=np.array([len(members) for members in clusters], np.int16),
        palettes=palettes,
        grains=means["grains"],
        factors={layer: _factorize(means[layer], rank) for layer, rank in STYLE_LAYERS.items()},
    )


def _cluster_works(measures: dict[str, Floats], labels: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Return the paintings of each cluster, as indexes: works of one artist that are painted alike."""
    from sklearn.cluster import KMeans

    clusters = []
    for artist in np.unique(labels):
        works = np.flatnonzero(labels == artist)
        descriptions = np.concatenate([_standardize(_describe(values[works])) for values in measures.values()], axis=1)
        count = int(np.clip(len(works) // WORKS_PER_CLUSTER, *CLUSTER_LIMITS))
        assigned = KMeans(min(count, len(works)), n_init=8, random_state=seed).fit_predict(descriptions)
        clusters += [works[assigned == index] for index in np.unique(assigned)]
    return clusters


def _find_typical(palettes: Floats) -> Floats:
    """Return the palette that is nearest to all: a mean of palettes has colours that no work has, and fewer of them."""
    distances = np.square(palettes[:, None] - palettes[None]).mean(axis=(2, 3))
    typical: Floats = palettes[distances.sum(axis=1).argmin()]
    return typical


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
