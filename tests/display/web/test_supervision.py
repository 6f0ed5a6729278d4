"""Background tasks of the display: a fault is logged and counted, and ends none of them."""

import asyncio
import logging

import pytest

from display.web import supervision
from display.web.supervision import run_supervised
from tests.metrics import count_faults


def test_a_task_that_ends_by_a_fault_is_reported_and_starts_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing with a bare task: it ended at the first fault, and nobody heard of it."""
    monkeypatch.setattr(supervision, "MIN_RESTART_SECONDS", 0.0)
    starts, bugs_before = 0, count_faults("bug")

    async def run() -> None:
        is_well = asyncio.Event()

        async def work() -> None:
            nonlocal starts
            starts += 1
            if starts <= 2:
                raise KeyError("a bug")
            is_well.set()
            await asyncio.Event().wait()

        async with run_supervised(work), asyncio.timeout(60):
            await is_well.wait()

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert (starts, count_faults("bug") - bugs_before) == (3, 2)
    assert all("work ended by a fault" in record.message and record.exc_info for record in caplog.records)
    assert len(caplog.records) == 2


def test_a_task_that_ends_by_one_fault_after_the_other_is_started_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 7:
            raise asyncio.CancelledError

    async def work() -> None:
        raise OSError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(supervision._restart_after_faults(work))
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_a_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    """Seen failing with a single cancellation: the display did not end."""
    swallowed: list[asyncio.CancelledError] = []

    async def work() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                if swallowed:
                    raise
                swallowed.append(error)

    async def run() -> None:
        async with run_supervised(work):
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(run(), 60))
    assert swallowed
