"""The only exception whose text an operator sees, and suggestions for unknown names."""

import difflib
from collections.abc import Iterable

#: Names that are listed if no known name is similar.
MAX_LISTED_NAMES = 20


class ArtDreamError(Exception):
    """An expected error, described in one sentence: what happened, to what, and what to do.

    The command line prints the sentence and exits with status 1. Any other exception is a bug and keeps its traceback.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that suggests up to three similar names, or the first known names if none is similar."""
    names = list(known)
    suggestions = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[:MAX_LISTED_NAMES]
    return f"Did you mean {', '.join(suggestions)}?"
