"""The split: which pictures are learned from, which choose the best epoch, and which only judge."""

from collections.abc import Mapping, Sequence

import numpy as np

from worker.training.dataset.manifest import Part

#: Part → the share of each artist's pictures.
SPLIT_SHARES: Mapping[Part, float] = {"train": 0.8, "val": 0.1, "test": 0.1}


def split(
    artists: Sequence[str], groups: Sequence[int], seed: int, shares: Mapping[Part, float] = SPLIT_SHARES
) -> list[Part]:
    """Return the part of each picture: drawn by the seed, artist by artist, pictures of one group staying together.

    artists, groups: of each picture. Artists with three groups or more have pictures in every part. A group with
    pictures of several artists goes where the first of them sends it.
    """
    parts: dict[int, Part] = {}
    for artist in sorted(set(artists)):
        own = [group for group, one in zip(groups, artists, strict=True) if one == artist]
        sizes = {group: own.count(group) for group in dict.fromkeys(own)}
        chance = np.random.default_rng([seed, *artist.encode()])
        free = [group for group in chance.permutation(list(sizes)).tolist() if group not in parts]
        for part in ("test", "val"):
            wanted = max(1, round(len(own) * shares[part])) if shares[part] else 0
            taken = sum(sizes[group] for group in sizes if parts.get(group) == part)
            while taken < wanted and len(free) > 1:
                group = free.pop()
                parts[group] = part
                taken += sizes[group]
        parts.update(dict.fromkeys(free, "train"))
    return [parts[group] for group in groups]
