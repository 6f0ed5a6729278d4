"""Waiting for a condition: the one way in which a test waits."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

Result = TypeVar("Result")

#: Seconds within which anything that a test waits for must happen, also on a machine that is busy with other work.
WAIT_TIMEOUT_SECONDS = 300.0

#: Seconds between the first two checks of a condition, and between later ones: most conditions hold at once or soon.
MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.01, 0.2


def wait_until(
    condition: Callable[[], object],
    description: str = "the condition holds",
    timeout: float = WAIT_TIMEOUT_SECONDS,
    *,
    explain: Callable[[], str] | None = None,
) -> float:
    """Wait until a condition holds, and return the seconds that took.

    Fails the test with the description after `timeout` seconds. explain: returns what explains the failure, as a log.
    """
    started, pause = time.monotonic(), MIN_POLL_SECONDS
    while not condition():
        if time.monotonic() > started + timeout:
            pytest.fail(f"{description}: not within {timeout:g} s\n{explain() if explain else ''}".rstrip())
        time.sleep(pause)
        pause = min(1.5 * pause, MAX_POLL_SECONDS)
    return time.monotonic() - started


def delayed(function: Callable[..., Result], seconds: float) -> Callable[..., Result]:
    """Return a function that calls another one after a delay, as a link far away does."""

    def call_later(*arguments: Any, **options: Any) -> Result:
        time.sleep(seconds)
        return function(*arguments, **options)

    return call_later
