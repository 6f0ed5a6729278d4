"""Cartography: from what a network saw in paintings to an atlas of them, and how far the atlas can be trusted."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.networks.embedding_map import EmbeddingMap, Floats, normalize_rows

#: Principal components that t-SNE starts from.
PCA_COMPONENTS = 50

TSNE_PERPLEXITY = 30

#: Neighbours that vote for an artist, and that trustworthiness looks at.
VOTING_NEIGHBORS = 10

#: Pictures that trustworthiness looks at: it compares each with each.
TRUSTWORTHINESS_SAMPLE_SIZE = 4000


class MapQuality(NamedTuple):
    """How much of what the network saw is left on the map."""

    #: The share of pictures for which ten nearest others vote for the right artist: in all that the network saw, and
    #: on the map.
    knn_accuracy_features: float
    knn_accuracy_map: float
    #: How far near places were near before; 1 is wholly (Venna and Kaski, 2001).
    trustworthiness: float


def build_embedding_map(features: Floats, artist: NDArray[np.int64], seed: int) -> EmbeddingMap:
    """Draw the atlas of some paintings. features: (paintings, channels). The same seed draws the same atlas."""
    from openTSNE import TSNE
    from sklearn.decomposition import PCA

    scaled = normalize_rows(features)
    components = min(PCA_COMPONENTS, *scaled.shape)
    analysis = PCA(components, svd_solver="covariance_eigh").fit(scaled)
    principal = analysis.transform(scaled).astype(np.float32)
    perplexity = min(TSNE_PERPLEXITY, (len(principal) - 1) / 3)
    places = np.asarray(
        TSNE(perplexity=perplexity, random_state=seed, n_jobs=2, neighbors="exact").fit(principal), np.float32
    )
    middle = (places.max(axis=0) + places.min(axis=0)) / 2
    return EmbeddingMap(
        analysis.mean_.astype(np.float32),
        analysis.components_.astype(np.float32),
        principal,
        places - middle,
        artist.astype(np.int16),
    )


def measure_quality(embedding_map: EmbeddingMap, held_out_mask: NDArray[np.bool_]) -> MapQuality:
    """Measure an atlas. asked: (paintings,), of which the neighbours are asked; those that were not learned from."""
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
    near = NearestNeighbors(n_neighbors=count + 1).fit(points).kneighbors(points[held_out_mask], return_distance=False)
    votes = artist[near[:, 1:]]  # the first is the picture itself
    winners = np.array([np.bincount(row).argmax() for row in votes])
    return float(np.mean(winners == artist[held_out_mask]))
