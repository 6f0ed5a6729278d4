"""Class names, and the lookup of the index of a class by its name."""

import difflib
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from shared.errors import ArtDreamError


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the short, unique names of ImageNet's 1000 classes, in their usual order."""
    return tuple((Path(__file__).parent / "imagenet.txt").read_text(encoding="utf-8").splitlines())


def normalize_name(name: str) -> str:
    """Return a name in the form used for comparison: without accents, case, underscores and hyphens."""
    letters = unicodedata.normalize("NFKD", name.replace("_", " ").replace("-", " "))
    return " ".join("".join(letter for letter in letters if not unicodedata.combining(letter)).casefold().split())


def class_index(classes: Sequence[str], name: str, network: str) -> int:
    """Return the index of a class, given by its name in any case or by the index itself, as in "207".

    classes: names by index. network: the name of the network, for messages. Raises ArtDreamError if there is no such
    class (the message suggests similar ones), or if the network has no classes.
    """
    if not classes:
        raise ArtDreamError(f"The network {network} tells no classes apart: choose a layer instead of “{name}”.")
    normalized_name = normalize_name(name)
    normalized_classes = [normalize_name(class_name) for class_name in classes]
    if normalized_name in normalized_classes:
        return normalized_classes.index(normalized_name)
    if normalized_name.isdecimal() and int(normalized_name) < len(classes):
        return int(normalized_name)
    if normalized_name.isdecimal():
        raise ArtDreamError(
            f"The network {network} has no class {normalized_name}: its classes are 0 to {len(classes) - 1}."
        )
    word_matches = [
        index
        for index, class_name in enumerate(normalized_classes)
        if normalized_name and normalized_name in class_name.split()
    ]
    suggestions = word_matches or [
        normalized_classes.index(class_name)
        for class_name in difflib.get_close_matches(normalized_name, normalized_classes, n=3, cutoff=0.4)
    ]
    raise ArtDreamError(
        f"The network {network} has no class “{name}”. Did you mean "
        f"{', '.join(classes[index] for index in (suggestions or range(len(classes)))[:3])}?"
    )
