"""Blocking calls in threads: as many as may be, and no more."""

import asyncio
import threading

from display.web.threads import MAX_THREADS, run_in_thread
from tests.waiting import wait_until


def count_threads() -> int:
    return sum(thread.name == "run_in_thread" for thread in threading.enumerate())


def test_calls_that_hang_start_only_so_many_threads() -> None:
    """Seen failing: each call, and so each request of a guest, had a thread of its own."""
    may_end = threading.Event()

    def hang() -> bool:
        return may_end.wait(60)

    async def call_often() -> list[bool]:
        calls = [asyncio.create_task(run_in_thread(hang)) for _ in range(5 * MAX_THREADS)]
        calls[0].cancel()
        calls[-1].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert count_threads() <= MAX_THREADS
        may_end.set()
        return await asyncio.gather(*calls[1:-1])

    assert asyncio.run(call_often()) == [True] * (5 * MAX_THREADS - 2)
    wait_until(lambda: count_threads() == 0, "all threads end")


def test_a_thread_whose_caller_gave_up_still_counts_until_it_ends() -> None:
    may_end = threading.Event()

    async def give_up() -> None:
        calls = [asyncio.create_task(run_in_thread(lambda: may_end.wait(60))) for _ in range(MAX_THREADS)]
        await asyncio.sleep(0)
        assert count_threads() == MAX_THREADS
        for call in calls:
            call.cancel()
        late = asyncio.create_task(run_in_thread(lambda: 7))
        await asyncio.sleep(0)
        assert count_threads() == MAX_THREADS
        may_end.set()
        assert await late == 7

    asyncio.run(give_up())
