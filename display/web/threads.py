"""Threads: blocking calls from the event loop that do not delay the end of the process."""

import asyncio
import contextlib
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

Result = TypeVar("Result")

#: Threads at a time; further calls wait for one. Guests start calls, and a store that hangs ends none of them.
MAX_THREADS = 64

_slots: WeakKeyDictionary[AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def run_in_thread(function: Callable[[], Result]) -> Result:
    """Run a blocking function in a daemon thread, one of MAX_THREADS. Return its result or raise its exception.

    The threads of asyncio.to_thread are joined at exit: a broker or store that hangs would delay the shutdown of the
    display until its sockets time out.
    """
    loop = asyncio.get_running_loop()
    slots = _slots.setdefault(loop, asyncio.Semaphore(MAX_THREADS))
    await slots.acquire()
    future: asyncio.Future[Result] = loop.create_future()

    def resolve(result: Result | None, error: BaseException | None) -> None:
        slots.release()
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only if it is the result

    def run() -> None:
        outcome: tuple[Result | None, BaseException | None]
        try:
            outcome = function(), None
        except BaseException as error:
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime
            loop.call_soon_threadsafe(resolve, *outcome)

    threading.Thread(target=run, name="run_in_thread", daemon=True).start()
    return await future
