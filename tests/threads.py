"""What a test runs in a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def running_in_thread(run: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run a function in a thread until the context ends; it must then stop without an error.

    run: gets an event that is set when it has to stop.
    """
    stop = threading.Event()
    errors: list[Exception] = []

    def run_until_stopped() -> None:
        try:
            run(stop)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run_until_stopped)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not errors
