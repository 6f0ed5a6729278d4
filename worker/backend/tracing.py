"""What the seam is the same for, whatever the library: names of types, and the count of traces."""

from collections.abc import Callable
from functools import wraps
from typing import Any

#: Something of the library's own array type; Keras knows no name for it.
Tensor = Any

#: Sides of an array; None stands for any.
Shape = tuple[int | None, ...]

_traces = 0


def traces() -> int:
    """Count the functions traced since the process began. While it stands still, nothing is compiled."""
    return _traces


def counted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, counting its calls: a library calls what it compiles once for each trace."""

    @wraps(function)
    def counting(*arguments: Any) -> Any:
        global _traces
        _traces += 1
        return function(*arguments)

    return counting
