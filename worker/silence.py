"""Silence for native libraries that talk to stderr past every setting."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silence() -> Iterator[None]:
    """Keep what native code writes to stderr from the operator; where the block fails, it is shown after all.

    TensorFlow announces its instruction sets and missing GPU drivers at import, before it reads its own log level.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # and quiet after the import
    sys.stderr.flush()
    visible = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(visible, kept.read())
            raise
        finally:
            os.dup2(visible, 2)
            os.close(visible)
