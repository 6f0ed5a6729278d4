"""Near-duplicates: find pictures of the same work, whatever their size, format or brightness."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Largest distance of near-duplicates' hashes, in bits of 64. Pairs of 6,691 paintings were inspected at each distance:
#: up to 8 bits all were one work photographed twice, at 10 five of six, at 12 one of six. Two works that are grouped by
#: mistake do no harm; one work in two parts of the split does.
MAX_HASH_DISTANCE = 10

#: Rows of hashes that are compared with all others at once.
COMPARISON_BLOCK_ROWS = 512


def compute_perceptual_hash(picture: Image.Image) -> int:
    """Return a perceptual hash (pHash) of 64 bits: the signs of the lowest frequencies against their median."""
    import imagehash

    return int(str(imagehash.phash(picture)), 16)


def group_near_duplicates(perceptual_hashes: Sequence[int], max_distance: int = MAX_HASH_DISTANCE) -> NDArray[np.int64]:
    """Return a group number for each picture: (pictures,) int64. Near-duplicates, also through others, share a group.

    perceptual_hashes: of the pictures. max_distance: largest number of differing bits of near-duplicates.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    hashes = np.array(perceptual_hashes, np.uint64)
    rows, columns = [], []
    for start in range(0, len(hashes), COMPARISON_BLOCK_ROWS):
        distances = np.bitwise_count(hashes[start : start + COMPARISON_BLOCK_ROWS, None] ^ hashes[None, start:])
        row, column = np.nonzero(distances <= max_distance)
        rows.append(row + start)
        columns.append(column + start)
    row, column = np.concatenate(rows), np.concatenate(columns)
    links = coo_array((np.ones(len(row), np.int8), (row, column)), shape=(len(hashes), len(hashes)))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)
