"""Cartography: from what a network saw in paintings to an atlas of them, and how far the atlas can be trusted."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.networks.embedding_map import Atlas, Floats, unit

#: Principal components that t-SNE starts from.
COMPONENTS = 50

PERPLEXITY = 30

#: Neighbours that vote for an artist, and that trustworthiness looks at.
VOTERS = 10

#: Pictures that trustworthiness looks at: it compares each with each.
SAMPLE = 4000


class Quality(NamedTuple):
    """How much of what the network saw is left on the map."""

    #: The share of pictures for which ten nearest others vote for the right artist: in all that the network saw, and
    #: on the map.
    neighbours_seen: float
    neighbours_map: float
    #: How far near places were near before; 1 is wholly (Venna and Kaski, 2001).
    trustworthiness: float


def draw(features: Floats, artist: NDArray[np.int64], seed: int) -> Atlas:
    """Draw the atlas of some paintings. features: (paintings, channels). The same seed draws the same atlas."""
    from openTSNE import TSNE
    from sklearn.decomposition import PCA

    scaled = unit(features)
    components = min(COMPONENTS, *scaled.shape)
    analysis = PCA(components, svd_solver="covariance_eigh").fit(scaled)
    principal = analysis.transform(scaled).astype(np.float32)
    perplexity = min(PERPLEXITY, (len(principal) - 1) / 3)
    places = np.asarray(
        TSNE(perplexity=perplexity, random_state=seed, n_jobs=2, neighbors="exact").fit(principal), np.float32
    )
    middle = (places.max(axis=0) + places.min(axis=0)) / 2
    return Atlas(
        analysis.mean_.astype(np.float32),
        analysis.components_.astype(np.float32),
        principal,
        places - middle,
        artist.astype(np.int16),
    )


def quality(atlas: Atlas, asked: NDArray[np.bool_]) -> Quality:
    """Measure an atlas. asked: (paintings,), of which the neighbours are asked; those that were not learned from."""
    from sklearn.manifold import trustworthiness

    sample = np.random.default_rng(0).permutation(len(atlas.places))[:SAMPLE]
    return Quality(
        _vote(atlas.principal, atlas.artist, asked),
        _vote(atlas.places, atlas.artist, asked),
        float(
            trustworthiness(atlas.principal[sample], atlas.places[sample], n_neighbors=min(VOTERS, len(sample) // 3))
        ),
    )


def _vote(points: Floats, artist: NDArray[np.int16], asked: NDArray[np.bool_]) -> float:
    from sklearn.neighbors import NearestNeighbors

    count = min(VOTERS, len(points) - 1)
    near = NearestNeighbors(n_neighbors=count + 1).fit(points).kneighbors(points[asked], return_distance=False)
    votes = artist[near[:, 1:]]  # the first is the picture itself
    winners = np.array([np.bincount(row).argmax() for row in votes])
    return float(np.mean(winners == artist[asked]))
