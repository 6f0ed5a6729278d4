"""Quiet import: import TensorFlow or JAX without console output and without packages that are not needed here."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

#: Packages that TensorFlow and Keras import for interoperability if they are installed. They take nearly half of the
#: import time. See docs/benchmarks.md.
SKIPPED_PACKAGES = ("pandas", "sklearn", "jax")


@contextmanager
def quiet_import() -> Iterator[None]:
    """Surround the first import of TensorFlow or JAX: silent unless it fails, and without SKIPPED_PACKAGES.

    The skipped packages can be imported afterwards.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # keeps TensorFlow quiet after the import, too
    with (
        _suppress_stderr(),
        _hide_packages(*(name for name in SKIPPED_PACKAGES if name != os.environ.get("KERAS_BACKEND"))),
    ):
        yield


@contextmanager
def _suppress_stderr() -> Iterator[None]:
    """Capture what native code writes to stderr, and write it out only if the block fails.

    TensorFlow announces its instruction sets and missing GPU drivers at import, before it reads its own log level.
    """
    sys.stderr.flush()
    original_stderr = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except BaseException:
            captured.seek(0)
            os.write(original_stderr, captured.read())
            raise
        finally:
            os.dup2(original_stderr, 2)
            os.close(original_stderr)


@contextmanager
def _hide_packages(*packages: str) -> Iterator[None]:
    """Make packages that are not imported yet appear not to be installed."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # type: ignore[arg-type]  # importing a None entry fails as if missing
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
