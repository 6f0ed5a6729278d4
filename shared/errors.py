"""The one exception that an operator may see, and the question that goes with a name that does not exist."""

import difflib
from collections.abc import Iterable

#: Names that are listed where none is near.
MAX_LISTED_NAMES = 20


class ArtDreamError(Exception):
    """An expected fault, told in one sentence: what happened, to what, what to do.

    The command line prints the sentence and exits with 1. Everything else is a bug and keeps its traceback.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that names what is near among the known, or the first of them where nothing is."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[:MAX_LISTED_NAMES]
    return f"Did you mean {', '.join(near)}?"
