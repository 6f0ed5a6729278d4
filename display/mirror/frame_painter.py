"""Frame painter: the display's side of the process that paints the frames of all mirrors."""

import asyncio
import contextlib
import logging
import os
import sys
from asyncio import IncompleteReadError
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from display.mirror.process import REQUEST_HEAD, RESPONSE_HEAD, FrameRefused, ResponseKind
from shared.errors import ArtDreamError

logger = logging.getLogger(__name__)

#: Mirrors at a time: they share one process, and each further one makes all of them slower.
MAX_MIRRORS = 4

#: Seconds after the last mirror has closed in which the process waits for another.
KEEP_SECONDS = 60.0

#: Seconds in which the process must load the network, on a busy machine, and in which it must paint a frame.
START_SECONDS, PAINT_SECONDS = 60.0, 10.0

#: Seconds in which the process may end by itself, when its standard input is closed, before it is killed.
END_SECONDS = 0.5

#: Processes that a frame may be given to. The first may have been killed for another reason, such as too little memory.
MAX_ATTEMPTS = 2

#: Bytes of the longest response, and characters of the longest reason. A process that a hostile frame has compromised
#: may send anything.
_MAX_RESPONSE_BYTES, _MAX_REASON_LENGTH = 4_000_000, 100

#: Faults of a process that cannot be started, has ended, or does not answer.
_PROCESS_FAULTS = (IncompleteReadError, OSError, ValueError)


class TooManyMirrors(Exception):
    """MAX_MIRRORS are open."""


class FramePainter:
    """Paints frames, one at a time, in a process that runs while there are mirrors. Use in one event loop."""

    def __init__(self, network: Path) -> None:
        self._network = network
        self._process: Process | None = None
        self._painting = asyncio.Lock()
        self._mirror_count = 0
        self._stop_timer: asyncio.TimerHandle | None = None
        self._stop_task: asyncio.Task[None] | None = None
        self._failure = ""
        self._is_closed = False

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """End the process with the context, also while it paints."""
        try:
            yield
        finally:
            self._is_closed = True
            if self._stop_timer is not None:
                self._stop_timer.cancel()
            await self._end()

    @contextlib.contextmanager
    def mirror(self) -> Iterator[None]:
        """Count a mirror, as long as the context lasts. Raises TooManyMirrors if MAX_MIRRORS are open."""
        if self._mirror_count >= MAX_MIRRORS:
            raise TooManyMirrors
        self._mirror_count += 1
        try:
            yield
        finally:
            self._mirror_count -= 1
            if not self._mirror_count:
                self._stop_timer = asyncio.get_running_loop().call_later(KEEP_SECONDS, self._schedule_stop)

    async def paint(self, frame: bytes, shares: bytes) -> bytes:
        """Return the painting of a frame, as a JPEG, as soon as earlier frames are painted.

        frame: a JPEG. shares: a byte for each style. Raises FrameRefused if the frame cannot be painted, and
        ArtDreamError if no frame can.
        """
        # A mirror may close meanwhile; the answer must be read nevertheless, or the next mirror would get it.
        return await asyncio.shield(self._paint(frame, shares))

    async def _paint(self, frame: bytes, shares: bytes) -> bytes:
        async with self._painting:
            failure = "The display ends."
            for _ in range(MAX_ATTEMPTS):
                if self._is_closed:
                    raise ArtDreamError(failure)
                try:
                    kind, content = await self._request(frame, shares)
                except _PROCESS_FAULTS as error:
                    await self._report_end()
                    failure = f"The process that paints the mirror's frames cannot be used: {error or 'no answer'}."
                    continue
                if kind == ResponseKind.PAINTING:
                    self._failure = ""
                    return content
                if kind == ResponseKind.REFUSED:
                    raise FrameRefused(content.decode("ascii", "ignore")[:_MAX_REASON_LENGTH])
                await self._end()
                failure = content.decode("utf-8", "replace")
                break
            # Mirrors try again and again: the log says it once.
            if failure != self._failure and not self._is_closed:
                logger.error("%s", failure)
            self._failure = failure
            raise ArtDreamError(failure)

    async def _request(self, frame: bytes, shares: bytes) -> tuple[ResponseKind, bytes]:
        if self._process is None:
            self._process = await self._start()
            async with asyncio.timeout(START_SECONDS):
                kind, content = await self._read_response(self._process)
            if kind != ResponseKind.READY:
                return kind, content
        assert self._process.stdin is not None  # noqa: S101
        async with asyncio.timeout(PAINT_SECONDS):
            self._process.stdin.write(REQUEST_HEAD.pack(len(shares), len(frame)) + shares + frame)
            await self._process.stdin.drain()
            return await self._read_response(self._process)

    async def _read_response(self, process: Process) -> tuple[ResponseKind, bytes]:
        assert process.stdout is not None  # noqa: S101
        kind, length = RESPONSE_HEAD.unpack(await process.stdout.readexactly(RESPONSE_HEAD.size))
        if length > _MAX_RESPONSE_BYTES:
            raise ValueError(f"it answers with {length} bytes")
        return ResponseKind(kind), await process.stdout.readexactly(length)

    async def _start(self) -> Process:
        # -P: import nothing from the working directory. A new session: the display handles Ctrl-C.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "display.mirror.process", str(self._network)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    async def _report_end(self) -> None:
        """Log how the process has ended, and forget it."""
        process = self._process
        await self._end()
        if process is not None and not self._is_closed:
            logger.warning(
                "The process that paints the mirror's frames ended (%s): it starts again.", process.returncode
            )

    async def _end(self) -> None:
        """End the process, if there is one, and wait until it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None  # noqa: S101
        process.stdin.close()
        # To kill one that has just died by itself would lose its exit status (CPython's Popen.kill reaps it).
        try:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _schedule_stop(self) -> None:
        self._stop_task = asyncio.create_task(self._stop_if_unused())

    async def _stop_if_unused(self) -> None:
        async with self._painting:
            if not self._mirror_count:
                await self._end()
