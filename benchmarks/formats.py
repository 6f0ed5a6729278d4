"""Colors of photos from every kind of file and color space: how far each is from what its file means.

python -m benchmarks.formats

The largest CIEDE2000 among seven patches, of dark blue to near white, and what reference white of HDR becomes;
docs/formats.md has the table.
"""

from collections import defaultdict

import numpy as np

from benchmarks.report import publish
from producer.decoding.convert import convert
from tests.producer.decoding.color_cases import PATCHES, compute_color_difference, list_color_cases, read_patches


def main() -> None:
    """Measure each case, and publish."""
    differences, whites = defaultdict[str, dict[str, float]](dict), defaultdict[str, list[float]](list)
    hdr_spaces = set()
    for case in list_color_cases():
        patches = read_patches(convert(case.make()).jpeg)
        difference = compute_color_difference(patches[: len(PATCHES)], np.array(PATCHES)).max()
        differences[case.kind][case.space] = float(difference)
        if case.is_hdr:
            hdr_spaces.add(case.space)
            whites[case.kind].append(float(patches[len(PATCHES)].min()))
    rows = []
    for kind, by_space in differences.items():
        standard = [difference for space, difference in by_space.items() if space not in hdr_spaces]
        hdr = [difference for space, difference in by_space.items() if space in hdr_spaces]
        white = f"{min(whites[kind]):.0f}" if hdr else ""
        rows.append((kind, f"{max(standard):.1f}", f"{max(hdr):.1f}" if hdr else "", white))
    columns = ("largest CIEDE2000", "SDR", "PQ, HLG", "reference white")
    publish("formats", columns, rows, {"differences": differences, "whites": whites})


if __name__ == "__main__":
    main()
