"""What the seam is the same for, whatever the library: names of types, and the count of traces."""

from collections.abc import Callable
from functools import wraps
from typing import Any

#: Something of the library's own array type; Keras knows no name for it.
Tensor = Any

#: Sides of an array; None stands for any.
Shape = tuple[int | None, ...]

_trace_count = 0


def count_traces() -> int:
    """Count the functions traced since the process began. While it stands still, nothing is compiled."""
    return _trace_count


def record_traces(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, counting its calls: a library calls what it compiles once for each trace."""

    @wraps(function)
    def wrapper(*arguments: Any) -> Any:
        global _trace_count
        _trace_count += 1
        return function(*arguments)

    return wrapper
