"""The import of TensorFlow or JAX: nobody hears it, and it takes nothing along that nobody here needs."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

#: What TensorFlow and Keras import wherever it is installed, to talk to it: nearly half of the time that importing them
#: takes. See docs/benchmarks.md.
SKIPPED_PACKAGES = ("pandas", "sklearn", "jax")


@contextmanager
def quiet_import() -> Iterator[None]:
    """Surround the first import of what computes: silent, unless it fails, and no longer than it must be.

    What is left out may be imported afterwards.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # and quiet after the import
    with (
        _suppress_stderr(),
        _hide_packages(*(name for name in SKIPPED_PACKAGES if name != os.environ.get("KERAS_BACKEND"))),
    ):
        yield


@contextmanager
def _suppress_stderr() -> Iterator[None]:
    """Keep what native code writes to stderr from the operator; where the block fails, it is shown after all.

    TensorFlow announces its instruction sets and missing GPU drivers at import, before it reads its own log level.
    """
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


@contextmanager
def _hide_packages(*packages: str) -> Iterator[None]:
    """Let packages that are not imported yet seem not to be installed."""
    left_out = [name for name in packages if name not in sys.modules]
    sys.modules |= dict.fromkeys(left_out)  # type: ignore[arg-type]  # None: what an import takes for a missing module
    try:
        yield
    finally:
        for name in left_out:
            del sys.modules[name]
