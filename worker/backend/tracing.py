"""Parts of the backend that do not depend on the library: type aliases, and the trace counter."""

from collections.abc import Callable
from functools import wraps
from typing import Any

#: An array of the library's own type; Keras has no name for it.
Tensor = Any

#: Dimensions of an array; None stands for any size.
Shape = tuple[int | None, ...]

_trace_count = 0


def count_traces() -> int:
    """Return the number of traces since the process started. It grows with every compilation."""
    return _trace_count


def record_traces(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function to count its traces: a library calls a function that it compiles once for each trace."""

    @wraps(function)
    def wrapper(*arguments: Any) -> Any:
        global _trace_count
        _trace_count += 1
        return function(*arguments)

    return wrapper
