"""Split pictures into parts: for training, for the choice of the best epoch, and for the final evaluation."""

from collections.abc import Mapping, Sequence

import numpy as np

from worker.training.dataset.manifest import Part

#: Part → the share of each artist's pictures.
SPLIT_SHARES: Mapping[Part, float] = {"train": 0.8, "val": 0.1, "test": 0.1}


def split(
    artists: Sequence[str], groups: Sequence[int], seed: int, shares: Mapping[Part, float] = SPLIT_SHARES
) -> list[Part]:
    """Return the part of each picture, drawn at random for each artist; pictures of one group stay together.

    artists, groups: of each picture. Artists with three groups or more have pictures in every part. A group with
    pictures of several artists follows the first of them in alphabetical order.
    """
    parts: dict[int, Part] = {}
    for artist in sorted(set(artists)):
        artist_groups = [
            group for group, picture_artist in zip(groups, artists, strict=True) if picture_artist == artist
        ]
        group_sizes = {group: artist_groups.count(group) for group in dict.fromkeys(artist_groups)}
        rng = np.random.default_rng([seed, *artist.encode()])
        unassigned = [group for group in rng.permutation(list(group_sizes)).tolist() if group not in parts]
        for part in ("test", "val"):
            target_size = max(1, round(len(artist_groups) * shares[part])) if shares[part] else 0
            part_size = sum(group_sizes[group] for group in group_sizes if parts.get(group) == part)
            while part_size < target_size and len(unassigned) > 1:
                group = unassigned.pop()
                parts[group] = part
                part_size += group_sizes[group]
        parts.update(dict.fromkeys(unassigned, "train"))
    return [parts[group] for group in groups]
