"""Names of classes, and the way from a name to its number."""

import difflib
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from shared.errors import ArtDreamError


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return ImageNet's 1000 classes in their usual order, with short names of which none occurs twice."""
    return tuple((Path(__file__).parent / "imagenet.txt").read_text(encoding="utf-8").splitlines())


def normalize_name(name: str) -> str:
    """Return a name as it is compared: without accents, case, underscores and hyphens, as people type it."""
    letters = unicodedata.normalize("NFKD", name.replace("_", " ").replace("-", " "))
    return " ".join("".join(one for one in letters if not unicodedata.combining(one)).casefold().split())


def class_index(classes: Sequence[str], name: str, network: str) -> int:
    """Return the number of a class, told by its name in any case or by the number itself, as "207".

    Raises ArtDreamError, naming near classes, where there is none of that name, and where there are no classes at all.
    """
    if not classes:
        raise ArtDreamError(f"The network {network} tells no classes apart: choose a layer instead of “{name}”.")
    wanted = normalize_name(name)
    folded = [normalize_name(known) for known in classes]
    if wanted in folded:
        return folded.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(classes):
        return int(wanted)
    if wanted.isdecimal():
        raise ArtDreamError(f"The network {network} has no class {wanted}: its classes are 0 to {len(classes) - 1}.")
    within = [index for index, known in enumerate(folded) if wanted and wanted in known.split()]
    near = within or [folded.index(known) for known in difflib.get_close_matches(wanted, folded, n=3, cutoff=0.4)]
    raise ArtDreamError(
        f"The network {network} has no class “{name}”. Did you mean "
        f"{', '.join(classes[index] for index in (near or range(len(classes)))[:3])}?"
    )
