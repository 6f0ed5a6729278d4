"""The decoders: processes that turn files into photos, each under a time limit, replaced where it dies."""

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
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from producer.decoding.convert import Photo
from producer.decoding.formats import Truncated, Unreadable
from producer.decoding.limits import Limits
from producer.decoding.process import PHOTO_ID_PATTERN, parse_photo
from shared.recipe.canvas import MAX_PHOTO_SIDE
from shared.recipe.recipe import Recipe
from shared.settings import Settings
from shared.storage.quarantine import make_printable

logger = logging.getLogger(__name__)

#: Files after which a decoder is replaced: what libraries leak does not add up.
MAX_FILES_PER_PROCESS = 200

#: Times that a file may crash a decoder. The first may have been the machine's fault, such as too little memory.
MAX_CRASHES_PER_FILE = 2

#: Bytes of the longest answer: a photo without any compression, and a line.
MAX_RESPONSE_BYTES = 3 * MAX_PHOTO_SIDE**2 + (1 << 20)

#: Letters of the longest reason.
MAX_REASON_LENGTH = 200


@dataclass(frozen=True)
class DecodeResult:
    """What one try to decode a file gave."""

    #: SHA-256 of the bytes, '' where they could not be read.
    photo_id: str
    #: The photo, or the reason why there is none.
    photo_or_error: Photo | Unreadable
    #: What the decoding took.
    seconds: float


def limits_from_settings(settings: Settings, recipes: Iterable[Recipe]) -> Limits:
    """Return the limits that an installation sets. recipes: those for which photos must have pixels enough."""
    size = settings.max_file_mb * 1_000_000
    side = min(max([settings.photo_side, *(recipe.canvas for recipe in recipes)]), MAX_PHOTO_SIDE)
    return Limits(size, settings.max_megapixels, settings.decode_seconds, side)


class DecoderPool:
    """Some processes that decode side by side. Use as a context manager; `submit` from any thread."""

    def __init__(self, size: int, limits: Limits) -> None:
        """Start them; they are ready a moment later."""
        self._limits = limits
        self._idle_processes: queue.SimpleQueue[_DecoderProcess] = queue.SimpleQueue()
        self._processes = [_DecoderProcess() for _ in range(size)]
        for decoder in self._processes:
            self._idle_processes.put(decoder)
        self._executor = ThreadPoolExecutor(size, thread_name_prefix="decoder")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End them, whatever they are doing."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        for decoder in self._processes:
            decoder.close()
        self._executor.shutdown()  # whoever waited for one of them knows by now
        for decoder in self._processes:
            decoder.kill_and_reap()

    def submit(self, path: Path, *, allow_truncated: bool = False) -> "Future[DecodeResult]":
        """Have a file decoded. The future raises FileNotFoundError where it is gone, and nothing else.

        cut: take a file that ends too early for what is there of it.
        """
        return self._executor.submit(self._decode_with_retries, path, allow_truncated)

    def list_pids(self) -> list[int]:
        """Return the ids of the processes."""
        return [decoder.pid for decoder in self._processes]

    def _decode_with_retries(self, path: Path, allow_truncated: bool) -> DecodeResult:
        decoder, started = self._idle_processes.get(), time.perf_counter()
        try:
            for _ in range(MAX_CRASHES_PER_FILE):
                try:
                    attempt = decoder.decode(path, self._limits, allow_truncated=allow_truncated)
                    break
                except TimeoutError:
                    reason = f"took longer than {self._limits.timeout_seconds:.0f} s to decode"
                    return DecodeResult("", Unreadable(reason), time.perf_counter() - started)
                except EOFError:
                    logger.info("A decoder ended over %s.", make_printable(path))
            else:
                return DecodeResult("", Unreadable("makes the decoder crash"), time.perf_counter() - started)
        finally:
            self._idle_processes.put(decoder)
        if attempt is None:
            raise FileNotFoundError(path)
        return attempt


class _DecoderProcess:
    """One process, and the next one when it is gone. Ask it from one thread at a time; end it from any."""

    def __init__(self) -> None:
        self._closed = False
        self._lock = threading.Lock()
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def decode(self, path: Path, limits: Limits, *, allow_truncated: bool) -> DecodeResult | None:
        """Have a file decoded; None where it is gone. Raises TimeoutError, and EOFError where the process ended."""
        if self._process.poll() is not None:
            self._restart()
        request = {"path": os.fsencode(path.absolute()).hex(), "limits": limits, "cut": allow_truncated}
        assert self._process.stdin is not None  # noqa: S101
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            deadline = time.monotonic() + limits.timeout_seconds
            while (end := self._received.find(b"\n")) < 0:
                self._receive(deadline)
                if len(self._received) > MAX_RESPONSE_BYTES:
                    raise EOFError
            head = json.loads(self._received[:end])
            if not 0 <= head["length"] <= MAX_RESPONSE_BYTES:
                raise EOFError
            while len(self._received) < end + 1 + head["length"]:
                self._receive(deadline)
            attempt = _parse_response(head, bytes(self._received[end + 1 :]))
        except TimeoutError:
            self._restart()
            raise
        except Exception as error:  # it ended, or said what is no answer
            self._restart()
            raise EOFError from error
        self._received.clear()
        self._files_decoded += 1
        if self._files_decoded == MAX_FILES_PER_PROCESS:
            self._restart()  # now, so that the next one need not wait
        return attempt

    def close(self) -> None:
        """End the process for good, whatever it is doing."""
        with self._lock:
            self._closed = True
            self._process.kill()

    def kill_and_reap(self) -> None:
        """End the process and wait for it. Not while it is asked."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _receive(self, deadline: float) -> None:
        assert self._process.stdout is not None  # noqa: S101
        if not select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        if not (data := os.read(self._process.stdout.fileno(), 1 << 20)):
            raise EOFError
        self._received += data

    def _restart(self) -> None:
        with self._lock:
            self.kill_and_reap()
            if not self._closed:
                self._start()

    def _start(self) -> None:
        self._files_decoded = 0
        self._received = bytearray()
        # Nothing is imported (-P) from the folder that this runs in, where guests may put files. A session of its own:
        # Ctrl-C is the parent's. One malloc arena: what is freed is free for all.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "producer.decoding.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pipesize=1 << 20,  # a photo in one go, where the system allows
            start_new_session=True,
            env={**os.environ, "MALLOC_ARENA_MAX": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )


def _parse_response(header: dict[str, Any], jpeg: bytes) -> DecodeResult | None:
    """Return what an answer tells, None where the file is gone.

    Raises ValueError for what no decoder says: one that a stranger's file took over may say anything.
    """
    if header.get("gone"):
        return None
    seconds = float(header["seconds"])
    if "photo" in header:
        photo = parse_photo(header["photo"], jpeg)
        return DecodeResult(photo.photo_id, photo, seconds)
    photo_id, reason = str(header["photo_id"]), str(header["reason"])
    if (
        not (PHOTO_ID_PATTERN.fullmatch(photo_id) or not photo_id)
        or not reason.isprintable()
        or len(reason) > MAX_REASON_LENGTH
    ):
        raise ValueError("no reason that a decoder gives")
    return DecodeResult(photo_id, (Truncated if header["cut"] else Unreadable)(reason), seconds)
