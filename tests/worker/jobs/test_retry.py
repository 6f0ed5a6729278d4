"""Retry: store and broker may be unavailable for a while, with growing pauses between attempts."""

import time
from collections.abc import Callable

import pytest
import redis

from shared.storage.store import StoreError
from tests.metrics import count_faults
from worker.jobs.retry import BACKOFF_SECONDS, RetryPolicy


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the list of the pauses in seconds, which take no time."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def fail_first(count: int, error: type[Exception]) -> Callable[[], str]:
    """Return an action that fails some times, and then returns "done"."""
    errors = [error("away")] * count

    def act() -> str:
        if errors:
            raise errors.pop()
        return "done"

    return act


@pytest.mark.parametrize("error", [StoreError, redis.ConnectionError, redis.TimeoutError])
def test_an_action_is_repeated_after_growing_pauses_until_it_succeeds(
    error: type[Exception], pauses: list[float]
) -> None:
    assert RetryPolicy(60).retry(fail_first(7, error)) == "done"
    assert pauses == [*BACKOFF_SECONDS, BACKOFF_SECONDS[-1], BACKOFF_SECONDS[-1]]


def test_an_outage_is_counted_and_told_once(pauses: list[float], caplog: pytest.LogCaptureFixture) -> None:
    faults = count_faults("away")
    RetryPolicy(60).retry(fail_first(3, StoreError))
    assert count_faults("away") == faults + 1
    assert [record.message for record in caplog.records] == ["waiting: away"]


def test_an_action_that_fails_for_too_long_fails(pauses: list[float]) -> None:
    with pytest.raises(StoreError):
        RetryPolicy(0).retry(fail_first(1, StoreError))
    assert pauses == []


def test_what_the_store_refuses_for_good_is_not_repeated(pauses: list[float]) -> None:
    """Seen failing: a worker asked for ten minutes for each photo that a revoked key kept from it."""

    def act() -> None:
        raise StoreError("403", is_permanent=True)

    with pytest.raises(StoreError, match="403"):
        RetryPolicy(60).retry(act)
    assert pauses == []


def test_what_is_no_outage_is_not_repeated(pauses: list[float]) -> None:
    with pytest.raises(ValueError, match="away"):
        RetryPolicy(60).retry(fail_first(1, ValueError))
    assert pauses == []
