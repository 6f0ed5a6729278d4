"""The producer: watches folders, settles, converts, spools and submits photos.

Never imports the worker, the display or TensorFlow. `convert` makes any picture file one kind of photo, `intake` is the
one door to store and queue, `watch` is what runs beside folders, `send` is for files named one by one, `batch` keeps
what was sent together. Other programs submit with `from producer import submit`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.send import submit

__all__ = ["submit"]


def __getattr__(name: str) -> Any:
    # Late, because a decoder's process imports this package too, and nothing but what decodes.
    if name == "submit":
        from producer.send import submit

        return submit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
