"""The one exception that an operator may see."""


class ArtDreamError(Exception):
    """An expected fault, told in one sentence: what happened, to what, what to do.

    The command line prints the sentence and exits with 1. Everything else is a bug and keeps its traceback.
    """
