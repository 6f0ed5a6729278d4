"""Aside: blocking work beside the event loop that does not hold up the end of the process."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def run_in_thread(function: Callable[[], Result]) -> Result:
    """Run blocking work in a thread; return or raise what it does.

    Unlike asyncio.to_thread, whose threads are waited for at the end: a broker or store that hangs would keep a
    display that was told to end for as long as its sockets wait.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def resolve(result: Result | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only where that is the result

    def run() -> None:
        outcome: tuple[Result | None, BaseException | None]
        try:
            outcome = function(), None
        except BaseException as error:
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(resolve, *outcome)

    threading.Thread(target=run, name="aside", daemon=True).start()
    return await future
