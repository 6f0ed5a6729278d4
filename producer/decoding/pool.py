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
from producer.decoding.formats import Cut, Unreadable
from producer.decoding.limits import Limits
from producer.decoding.process import PHOTO_ID, photo_of
from shared.recipe.canvas import MAX_PHOTO_SIDE
from shared.recipe.recipe import Recipe
from shared.settings import Settings
from shared.storage.quarantine import make_printable

logger = logging.getLogger(__name__)

#: Files after which a decoder is replaced: what libraries leak does not add up.
LIFETIME = 200

#: Times that a file may crash a decoder. The first may have been the machine's fault, such as too little memory.
CRASHES = 2

#: Bytes of the longest answer: a photo without any compression, and a line.
MOST = 3 * MAX_PHOTO_SIDE**2 + (1 << 20)

#: Letters of the longest reason.
LONGEST_REASON = 200


@dataclass(frozen=True)
class Attempt:
    """What one try to decode a file gave."""

    #: SHA-256 of the bytes, '' where they could not be read.
    photo_id: str
    #: The photo, or the reason why there is none.
    result: Photo | Unreadable
    #: What the decoding took.
    seconds: float


def settings_limits(settings: Settings, recipes: Iterable[Recipe]) -> Limits:
    """Return the limits that an installation sets. recipes: those for which photos must have pixels enough."""
    size = settings.max_file_mb * 1_000_000
    side = min(max([settings.photo_side, *(recipe.canvas for recipe in recipes)]), MAX_PHOTO_SIDE)
    return Limits(size, settings.max_megapixels, settings.decode_seconds, side)


class Decoders:
    """Some processes that decode side by side. Use as a context manager; `submit` from any thread."""

    def __init__(self, count: int, limits: Limits) -> None:
        """Start them; they are ready a moment later."""
        self._limits = limits
        self._idle: queue.SimpleQueue[_Decoder] = queue.SimpleQueue()
        self._all = [_Decoder() for _ in range(count)]
        for decoder in self._all:
            self._idle.put(decoder)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decoder")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End them, whatever they are doing."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for decoder in self._all:
            decoder.end()
        self._threads.shutdown()  # whoever waited for one of them knows by now
        for decoder in self._all:
            decoder.bury()

    def submit(self, path: Path, *, cut: bool = False) -> "Future[Attempt]":
        """Have a file decoded. The future raises FileNotFoundError where it is gone, and nothing else.

        cut: take a file that ends too early for what is there of it.
        """
        return self._threads.submit(self._attempt, path, cut)

    def pids(self) -> list[int]:
        """Return the ids of the processes."""
        return [decoder.pid for decoder in self._all]

    def _attempt(self, path: Path, cut: bool) -> Attempt:
        decoder, started = self._idle.get(), time.perf_counter()
        try:
            for _ in range(CRASHES):
                try:
                    attempt = decoder.ask(path, self._limits, cut=cut)
                    break
                except TimeoutError:
                    reason = f"took longer than {self._limits.seconds:.0f} s to decode"
                    return Attempt("", Unreadable(reason), time.perf_counter() - started)
                except EOFError:
                    logger.info("A decoder ended over %s.", make_printable(path))
            else:
                return Attempt("", Unreadable("makes the decoder crash"), time.perf_counter() - started)
        finally:
            self._idle.put(decoder)
        if attempt is None:
            raise FileNotFoundError(path)
        return attempt


class _Decoder:
    """One process, and the next one when it is gone. Ask it from one thread at a time; end it from any."""

    def __init__(self) -> None:
        self._ended = False
        self._lock = threading.Lock()
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, path: Path, limits: Limits, *, cut: bool) -> Attempt | None:
        """Have a file decoded; None where it is gone. Raises TimeoutError, and EOFError where the process ended."""
        if self._process.poll() is not None:
            self._restart()
        request = {"path": os.fsencode(path.absolute()).hex(), "limits": limits, "cut": cut}
        assert self._process.stdin is not None  # noqa: S101
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            deadline = time.monotonic() + limits.seconds
            while (end := self._heard.find(b"\n")) < 0:
                self._listen(deadline)
                if len(self._heard) > MOST:
                    raise EOFError
            head = json.loads(self._heard[:end])
            if not 0 <= head["length"] <= MOST:
                raise EOFError
            while len(self._heard) < end + 1 + head["length"]:
                self._listen(deadline)
            attempt = _attempt(head, bytes(self._heard[end + 1 :]))
        except TimeoutError:
            self._restart()
            raise
        except Exception as error:  # it ended, or said what is no answer
            self._restart()
            raise EOFError from error
        self._heard.clear()
        self._asked += 1
        if self._asked == LIFETIME:
            self._restart()  # now, so that the next one need not wait
        return attempt

    def end(self) -> None:
        """End the process for good, whatever it is doing."""
        with self._lock:
            self._ended = True
            self._process.kill()

    def bury(self) -> None:
        """End the process and wait for it. Not while it is asked."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _listen(self, deadline: float) -> None:
        assert self._process.stdout is not None  # noqa: S101
        if not select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        if not (data := os.read(self._process.stdout.fileno(), 1 << 20)):
            raise EOFError
        self._heard += data

    def _restart(self) -> None:
        with self._lock:
            self.bury()
            if not self._ended:
                self._start()

    def _start(self) -> None:
        self._asked = 0
        self._heard = bytearray()
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


def _attempt(head: dict[str, Any], jpeg: bytes) -> Attempt | None:
    """Return what an answer tells, None where the file is gone.

    Raises ValueError for what no decoder says: one that a stranger's file took over may say anything.
    """
    if head.get("gone"):
        return None
    seconds = float(head["seconds"])
    if "photo" in head:
        photo = photo_of(head["photo"], jpeg)
        return Attempt(photo.photo_id, photo, seconds)
    photo_id, reason = str(head["photo_id"]), str(head["reason"])
    if not (PHOTO_ID.fullmatch(photo_id) or not photo_id) or not reason.isprintable() or len(reason) > LONGEST_REASON:
        raise ValueError("no reason that a decoder gives")
    return Attempt(photo_id, (Cut if head["cut"] else Unreadable)(reason), seconds)
