"""Likeness: which pictures are nearly the same, whatever size, format or brightness they are kept in."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Of the hash's 64 bits, how many may differ between two pictures that count as one. Of 6,691 paintings, pairs at each
#: distance were looked at: up to 8 bits all were one work photographed twice, at 10 five of six, at 12 one of six. Two
#: works that stay together by mistake do no harm, one work on both sides of the split does.
MAX_HASH_DISTANCE = 10

#: Rows of hashes that are compared with all others at once.
COMPARISON_BLOCK_ROWS = 512


def compute_perceptual_hash(picture: Image.Image) -> int:
    """Return a perceptual hash of 64 bits: the signs of its coarsest frequencies against their median (pHash)."""
    import imagehash

    return int(str(imagehash.phash(picture)), 16)


def group_near_duplicates(perceptual_hashes: Sequence[int], max_distance: int = MAX_HASH_DISTANCE) -> NDArray[np.int64]:
    """Number pictures so that those that are nearly the same, if only through others, have one number: (pictures,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    hashes = np.array(perceptual_hashes, np.uint64)
    rows, columns = [], []
    for start in range(0, len(hashes), COMPARISON_BLOCK_ROWS):
        apart = np.bitwise_count(hashes[start : start + COMPARISON_BLOCK_ROWS, None] ^ hashes[None, start:])
        row, column = np.nonzero(apart <= max_distance)
        rows.append(row + start)
        columns.append(column + start)
    row, column = np.concatenate(rows), np.concatenate(columns)
    links = coo_array((np.ones(len(row), np.int8), (row, column)), shape=(len(hashes), len(hashes)))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)
