"""Decoder pool: processes that convert files to photos under a time limit, replaced when they crash."""

import contextlib
import json
import logging
import os
import queue
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Self

from producer.decoding.convert import Photo
from producer.decoding.formats import NotAPicture, Truncated, Unreadable
from producer.decoding.limits import Limits
from producer.decoding.process import ALARM_MARGIN_SECONDS, PHOTO_ID_PATTERN, READY_LINE, parse_photo
from producer.decoding.video import MAX_MOTION_BYTES
from shared.errors import ArtDreamError
from shared.jobs.refusal import RefusalCause, RefusalCode
from shared.recipe.canvas import MAX_PHOTO_SIDE
from shared.recipe.recipe import Recipe
from shared.settings import Settings
from shared.storage.quarantine import make_printable

logger = logging.getLogger(__name__)

#: Files after which a decoder is replaced, so that memory leaks of libraries do not add up.
MAX_FILES_PER_PROCESS = 200

#: Crashes that a file may cause. The first may have been the machine's fault, such as too little memory.
MAX_CRASHES_PER_FILE = 2

#: Bytes of the longest response: a photo and a working photo without any compression, a video, and their header.
MAX_RESPONSE_BYTES = 2 * 3 * MAX_PHOTO_SIDE**2 + MAX_MOTION_BYTES + (1 << 20)

#: Characters of the longest reason.
MAX_REASON_LENGTH = 200

#: Types of the reason why a file has no photo, by the names in a response.
_ERROR_TYPES = {error_type.__name__: error_type for error_type in (Unreadable, NotAPicture, Truncated)}

#: Time in which a process must become ready: it imports the image libraries, on a busy machine for seconds.
START_SECONDS = 60


class DecoderUnavailable(ArtDreamError):
    """No decoder process starts, whatever the file; the call may be retried."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Photos cannot be decoded, as no decoder process starts: {reason}.")


@dataclass(frozen=True)
class DecodeResult:
    """Result of decoding one file."""

    #: SHA-256 of the bytes in hex, "" if they could not be read.
    photo_id: str
    #: The photo, or the reason why there is none.
    photo_or_error: Photo | Unreadable
    #: Time that decoding took.
    seconds: float


def limits_from_settings(settings: Settings, recipes: Iterable[Recipe]) -> Limits:
    """Return the limits that the settings define. recipes: working photos are large enough for their canvases."""
    max_bytes = settings.max_file_mb * 1_000_000
    working_side = min(max(recipe.canvas for recipe in recipes), MAX_PHOTO_SIDE)
    max_side = max(settings.photo_side, working_side)
    return Limits(
        max_bytes, settings.max_megapixels, settings.decode_seconds, max_side, working_side, settings.live_photos
    )


class DecoderPool:
    """Processes that decode files in parallel. Use as a context manager; call `submit` from any thread."""

    def __init__(self, size: int, limits: Limits) -> None:
        """Start `size` processes. Returns before they are ready. Raises DecoderUnavailable."""
        self._limits = limits
        self._idle_processes: queue.SimpleQueue[_DecoderProcess] = queue.SimpleQueue()
        self._processes = [_DecoderProcess() for _ in range(size)]
        for decoder in self._processes:
            self._idle_processes.put(decoder)
        self._executor = ThreadPoolExecutor(size, thread_name_prefix="decoder")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the processes, even while they decode."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        for decoder in self._processes:
            decoder.close()
        self._executor.shutdown()  # Its threads do not block: the processes they wait for are killed.
        for decoder in self._processes:
            decoder.kill_and_reap()

    def submit(self, path: Path, *, allow_truncated: bool = False) -> "Future[DecodeResult]":
        """Decode a file in the background.

        The future raises FileNotFoundError if the file does not exist, DecoderUnavailable, CancelledError if the pool
        was closed, and nothing else.
        allow_truncated: accept a JPEG that ends too early if at least half of it is present.
        """
        return self._executor.submit(self._decode_with_retries, path, allow_truncated)

    def list_pids(self) -> list[int]:
        """Return the process ids."""
        return [decoder.pid for decoder in self._processes]

    def _decode_with_retries(self, path: Path, allow_truncated: bool) -> DecodeResult:
        decoder, started = self._idle_processes.get(), time.perf_counter()
        try:
            for _ in range(MAX_CRASHES_PER_FILE):
                try:
                    result = decoder.decode(path, self._limits, allow_truncated=allow_truncated)
                    break
                except TimeoutError:
                    reason = f"took longer than {self._limits.timeout_seconds:.0f} s to decode"
                    return DecodeResult("", Unreadable(reason, RefusalCode.TOO_COMPLEX), time.perf_counter() - started)
                except EOFError:
                    logger.info("A decoder ended over %s.", make_printable(path))
            else:
                return DecodeResult(
                    "", Unreadable("makes the decoder crash", RefusalCode.DAMAGED), time.perf_counter() - started
                )
        finally:
            self._idle_processes.put(decoder)
        if result is None:
            raise FileNotFoundError(path)
        return result


class _DecoderProcess:
    """A decoder process that is replaced when it dies. Call `decode` from one thread at a time, `close` from any."""

    #: Whether the process takes files, and what it has sent of its current answer.
    _is_ready: bool
    _received: bytearray

    def __init__(self) -> None:
        self._closed = False
        self._lock = threading.Lock()
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def decode(self, path: Path, limits: Limits, *, allow_truncated: bool) -> DecodeResult | None:
        """Decode a file; None if it does not exist.

        Raises TimeoutError, EOFError if the process died over the file, and DecoderUnavailable if none starts.
        """
        try:
            self._make_ready()
        except DecoderUnavailable:  # One may have been killed, such as for lack of memory.
            self._make_ready()
        request = {"path": os.fsencode(path.absolute()).hex(), "limits": limits, "cut": allow_truncated}
        assert self._process.stdin is not None  # noqa: S101
        deadline = time.monotonic() + limits.timeout_seconds
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            end = self._receive_line(deadline)
            header = json.loads(self._received[:end])
            ends = list(accumulate(header["lengths"], initial=end + 1))
            if min(header["lengths"], default=0) < 0 or ends[-1] > MAX_RESPONSE_BYTES:
                raise EOFError
            while len(self._received) < ends[-1]:
                self._receive(deadline)
            files = [bytes(self._received[begin:stop]) for begin, stop in pairwise(ends)]
            result = _parse_response(header, files, limits.timeout_seconds + ALARM_MARGIN_SECONDS)
        except TimeoutError:
            self._try_restart()
            raise
        except Exception as error:  # The process died, or its response is invalid.
            self._try_restart()
            raise EOFError from error
        self._received.clear()
        self._files_decoded += 1
        if self._files_decoded == MAX_FILES_PER_PROCESS:
            self._try_restart()
        return result

    def close(self) -> None:
        """Kill the process, even while it decodes, and start no other."""
        with self._lock:
            self._closed = True
            self._process.kill()

    def kill_and_reap(self) -> None:
        """Kill the process and wait for its end. Must not run while another thread is in `decode`."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _make_ready(self) -> None:
        """Wait until the process can take a file; start another if it has died. Raises DecoderUnavailable.

        A file's time limit does not include the start of its decoder, and no file is to blame if that fails.
        """
        if self._process.poll() is not None:
            self._restart()
        if self._is_ready:
            return
        try:
            self._receive_line(time.monotonic() + START_SECONDS)
            if self._received != READY_LINE:
                raise EOFError
        except Exception as error:
            raise DecoderUnavailable(self._end_failed_start(error)) from error
        assert self._process.stderr is not None  # noqa: S101
        self._process.stderr.close()
        self._received.clear()
        self._is_ready = True

    def _end_failed_start(self, error: Exception) -> str:
        """End a process that did not become ready. Returns why: the last line that it printed, if there is one."""
        assert self._process.stderr is not None  # noqa: S101
        self._process.kill()
        lines = self._process.stderr.read().decode(errors="replace").split("\n")
        self._process.wait()
        if isinstance(error, TimeoutError):
            return f"it was not ready within {START_SECONDS} s"
        return next(
            (line.strip()[:MAX_REASON_LENGTH] for line in reversed(lines) if line.strip()), "it printed no reason"
        )

    def _receive_line(self, deadline: float) -> int:
        """Receive at least one line. Returns the position of its end."""
        while (end := self._received.find(b"\n")) < 0:
            self._receive(deadline)
            if len(self._received) > MAX_RESPONSE_BYTES:
                raise EOFError
        return end

    def _receive(self, deadline: float) -> None:
        assert self._process.stdout is not None  # noqa: S101
        if not select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        if not (data := os.read(self._process.stdout.fileno(), 1 << 20)):
            raise EOFError
        self._received += data

    def _restart(self) -> None:
        """Start another process. Raises DecoderUnavailable, and CancelledError if the pool was closed."""
        with self._lock:
            self.kill_and_reap()
            if self._closed:
                raise CancelledError
            self._start()

    def _try_restart(self) -> None:
        """Start another process at once, so that the next file need not wait for it."""
        with contextlib.suppress(DecoderUnavailable):
            self._restart()

    def _start(self) -> None:
        self._files_decoded = 0
        self._is_ready = False
        self._received = bytearray()
        # -P: import nothing from the working directory, which may contain guests' files. A new session: the parent
        # handles Ctrl-C. One malloc arena: freed memory can be reused by all threads.
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "producer.decoding.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,  # Until it is ready.
                pipesize=1 << 20,  # A photo in one write, if the system allows it.
                start_new_session=True,
                env={**os.environ, "MALLOC_ARENA_MAX": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except OSError as error:
            raise DecoderUnavailable(error.strerror or str(error)) from error


def _parse_response(header: dict[str, Any], files: Sequence[bytes], max_seconds: float) -> DecodeResult | None:
    """Return the result in a response, None if the file does not exist.

    max_seconds: after which a process that decodes ends itself. Raises ValueError or KeyError for an invalid response:
    a decoder that was compromised by a malicious file may send anything.
    """
    if header.get("gone"):
        return None
    seconds = float(header["seconds"])
    if not 0 <= seconds <= max_seconds:
        raise ValueError("no time that a decoder takes")
    if "photo" in header:
        photo = parse_photo(header["photo"], files)
        return DecodeResult(photo.photo_id, photo, seconds)
    photo_id, reason = str(header["photo_id"]), str(header["reason"])
    if (
        not (PHOTO_ID_PATTERN.fullmatch(photo_id) or not photo_id)
        or not reason.isprintable()
        or len(reason) > MAX_REASON_LENGTH
    ):
        raise ValueError("no reason that a decoder gives")
    error = _ERROR_TYPES[header["error"]](reason)
    if "cause" in header:
        error.cause = RefusalCause(**header["cause"])
    return DecodeResult(photo_id, error, seconds)
