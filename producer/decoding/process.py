"""The decoder: a process that turns files into photos, so that a file which crashes or hangs it takes nothing along.

Reads requests from standard input and answers on standard output until its parent goes away: a line of JSON each, and
behind an answer the bytes of the photo. Never pickles: what comes back was made from a stranger's file.
"""

import json
import os
import re
import signal
import stat
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from producer.decoding.convert import MAX_CAMERA_LENGTH, Photo, compute_photo_id, convert
from producer.decoding.formats import Truncated, Unreadable
from producer.decoding.limits import Limits
from shared.recipe.canvas import MAX_PHOTO_SIDE

#: Seconds beyond its limit after which a process that nobody cut off ends by itself.
ALARM_MARGIN_SECONDS = 10

#: What a photo's id is.
PHOTO_ID_PATTERN = re.compile(r"[0-9a-f]{64}")


def main() -> None:
    """Answer requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints, be it in C, must not speak in between
    for line in requests:
        request = json.loads(line)
        limits = Limits(*request["limits"])
        signal.alarm(round(limits.timeout_seconds) + ALARM_MARGIN_SECONDS)
        _write_response(
            answers, *decode(Path(os.fsdecode(bytes.fromhex(request["path"]))), limits, allow_truncated=request["cut"])
        )
        signal.alarm(0)


def decode(path: Path, limits: Limits, *, allow_truncated: bool = False) -> tuple[dict[str, Any], bytes]:
    """Read and convert a file. Returns what is known of it, and its photo as JPEG, b"" where there is none.

    cut: take a file that ends too early for what is there of it.
    """
    started, name, more = time.perf_counter(), "", False
    try:
        data = _read_file(path, limits)
        name = compute_photo_id(data)
        photo = convert(data, limits, allow_truncated=allow_truncated)
    except FileNotFoundError:
        return {"gone": True}, b""
    except OSError as error:
        reason = f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
    except Unreadable as unreadable:
        reason, more = str(unreadable), isinstance(unreadable, Truncated)
    else:
        facts = {name: value for name, value in asdict(photo).items() if name != "jpeg"}
        return {"photo": facts, "seconds": time.perf_counter() - started}, photo.jpeg
    return {"photo_id": name, "reason": reason, "cut": more, "seconds": time.perf_counter() - started}, b""


def _read_file(path: Path, limits: Limits) -> bytes:
    """Return what is in a file. Raises OSError and Unreadable; waits for no pipe, and reads no device to its end."""
    source = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("is not a file")
        if status.st_size <= limits.max_bytes:
            with os.fdopen(source, "rb", closefd=False) as file:
                data = file.read(limits.max_bytes + 1)
            if len(data) <= limits.max_bytes:
                return data
    finally:
        os.close(source)
    raise Unreadable(f"is too large: at most {limits.max_bytes // 1_000_000} MB are taken")


def parse_photo(fields: dict[str, Any], jpeg: bytes) -> Photo:
    """Return the photo that an answer tells of. Raises ValueError for one that no decoder makes, and TypeError."""
    photo = Photo(jpeg=jpeg, **fields)
    sides = (photo.width, photo.height)
    if not (
        PHOTO_ID_PATTERN.fullmatch(photo.photo_id)
        and jpeg.startswith(b"\xff\xd8\xff")
        and all(type(side) is int and 0 < side <= MAX_PHOTO_SIDE for side in sides)
        and photo.camera.isprintable()
        and len(photo.camera) <= MAX_CAMERA_LENGTH
    ):
        raise ValueError("no photo that a decoder makes")
    return photo


def _write_response(stream: BinaryIO, header: dict[str, Any], jpeg: bytes) -> None:
    stream.write(json.dumps(header | {"length": len(jpeg)}).encode() + b"\n" + jpeg)
    stream.flush()


if __name__ == "__main__":
    main()
