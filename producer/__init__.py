"""The producer: watches folders and submits the photos that appear in them.

Never imports the worker, the display or TensorFlow. A photo passes from `detection` (is there a file, is it complete)
through `decoding` (file → photo) to `outbox` (accepted → submitted). `watch` runs beside folders, `api` submits files
that are named, `batch` keeps what was submitted together. Other programs use `from producer import submit`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.api import submit

__all__ = ["submit"]


def __getattr__(name: str) -> Any:
    # Late, because a decoder's process imports this package too, and nothing but what decodes.
    if name == "submit":
        from producer.api import submit

        return submit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
