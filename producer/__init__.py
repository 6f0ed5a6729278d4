"""The producer: watches folders and submits the photos that appear in them.

Never imports the worker, the display or TensorFlow. A photo passes through `detection` (new and complete files),
`decoding` (file → photo) and `outbox` (accepted → submitted). `watch` runs them on folders, `api` submits files by
path, `batch` records the jobs that were submitted together. Other programs use `from producer import submit`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.api import submit

__all__ = ["submit"]


def __getattr__(name: str) -> Any:
    # Imported on first use: a decoder process imports this package too, and should load only the decoder.
    if name == "submit":
        from producer.api import submit

        return submit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
