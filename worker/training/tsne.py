"""t-SNE: build the embedding map of a network's features, and measure the map's quality."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.networks.embedding_map import EmbeddingMap, Floats, normalize_rows

#: Principal components of the features that t-SNE reads.
PCA_COMPONENTS = 50

TSNE_PERPLEXITY = 30

#: Nearest neighbours that vote for an artist, and that trustworthiness compares.
VOTING_NEIGHBORS = 10

#: Pictures that trustworthiness is computed from; it compares each with each.
TRUSTWORTHINESS_SAMPLE_SIZE = 4000


class MapQuality(NamedTuple):
    """How much of the structure of a network's features is preserved on a map."""

    #: Share of the pictures for which the ten nearest others vote for the right artist: by principal components of the
    #: features, and by position on the map.
    knn_accuracy_features: float
    knn_accuracy_map: float
    #: How far neighbours on the map are neighbours in the features, at most 1 (Venna and Kaski, 2001).
    trustworthiness: float


def build_embedding_map(features: Floats, artist: NDArray[np.int64], seed: int) -> EmbeddingMap:
    """Build the embedding map of paintings; the same seed gives the same map.

    features: (paintings, channels) float32. artist: (paintings,) artists, as channels of the class map.
    """
    from openTSNE import TSNE
    from sklearn.decomposition import PCA

    normalized = normalize_rows(features)
    components = min(PCA_COMPONENTS, *normalized.shape)
    pca = PCA(components, svd_solver="covariance_eigh").fit(normalized)
    principal = pca.transform(normalized).astype(np.float32)
    perplexity = min(TSNE_PERPLEXITY, (len(principal) - 1) / 3)
    positions = np.asarray(
        TSNE(perplexity=perplexity, random_state=seed, n_jobs=2, neighbors="exact").fit(principal), np.float32
    )
    center = (positions.max(axis=0) + positions.min(axis=0)) / 2
    return EmbeddingMap(
        pca.mean_.astype(np.float32),
        pca.components_.astype(np.float32),
        principal,
        positions - center,
        artist.astype(np.int16),
    )


def measure_quality(embedding_map: EmbeddingMap, held_out_mask: NDArray[np.bool_]) -> MapQuality:
    """Measure the quality of an embedding map.

    held_out_mask: (paintings,), True for the paintings that are classified by their neighbours: those not trained on.
    """
    from sklearn.manifold import trustworthiness

    sample = np.random.default_rng(0).permutation(len(embedding_map.places))[:TRUSTWORTHINESS_SAMPLE_SIZE]
    return MapQuality(
        _compute_knn_accuracy(embedding_map.principal, embedding_map.artist, held_out_mask),
        _compute_knn_accuracy(embedding_map.places, embedding_map.artist, held_out_mask),
        float(
            trustworthiness(
                embedding_map.principal[sample],
                embedding_map.places[sample],
                n_neighbors=min(VOTING_NEIGHBORS, len(sample) // 3),
            )
        ),
    )


def _compute_knn_accuracy(points: Floats, artist: NDArray[np.int16], held_out_mask: NDArray[np.bool_]) -> float:
    from sklearn.neighbors import NearestNeighbors

    count = min(VOTING_NEIGHBORS, len(points) - 1)
    neighbors = (
        NearestNeighbors(n_neighbors=count + 1).fit(points).kneighbors(points[held_out_mask], return_distance=False)
    )
    votes = artist[neighbors[:, 1:]]  # the first is the picture itself
    winners = np.array([np.bincount(row).argmax() for row in votes])
    return float(np.mean(winners == artist[held_out_mask]))
