"""Decoder process: converts files to photos in isolation, so that a file that crashes or hangs it affects nothing else.

Reads requests from standard input and writes responses to standard output until its parent closes the pipe: one line of
JSON each, a response followed by the files of the photo. The first line that it writes says that it is ready; what is
printed to standard error until then says why it is not. Never uses pickle: responses derive from untrusted files.
"""

import contextlib
import importlib
import json
import os
import re
import signal
import stat
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

from producer.decoding.convert import MAX_CAMERA_LENGTH, Photo, compute_photo_id, convert
from producer.decoding.formats import SIGNATURE_BYTES, NotAPicture, Unreadable, choose_decoder
from producer.decoding.limits import Limits
from producer.decoding.video import LIVE_PHOTO_SUFFIX, decode_video, is_video
from shared.jobs.refusal import RefusalCode
from shared.recipe.canvas import MAX_PHOTO_SIDE

#: Seconds after a file's time limit when the process ends itself, in case its parent did not.
ALARM_MARGIN_SECONDS = 10

#: The line that says that the process is ready for requests.
READY_LINE = b"ready\n"

#: Fields of a photo that follow the header of a response, as bytes.
PHOTO_FILES = ("jpeg", "working_jpeg", "motion")

#: First bytes of a JPEG.
JPEG_SIGNATURE = b"\xff\xd8\xff"

#: Type of the first box of an MP4, behind its size.
MP4_SIGNATURE = b"ftyp"

#: A photo id: SHA-256 in hex.
PHOTO_ID_PATTERN = re.compile(r"[0-9a-f]{64}")


def main() -> None:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent handles Ctrl-C.
    requests, responses = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Output of libraries, C libraries included, must not mix with responses.
    with contextlib.suppress(ImportError):
        importlib.import_module("av")  # The first photo does not wait for it.
    with open(os.devnull, "wb") as sink:  # noqa: PTH123
        for descriptor in (1, 2):
            os.dup2(sink.fileno(), descriptor)
    responses.write(READY_LINE)
    responses.flush()
    for line in requests:
        request = json.loads(line)
        limits = Limits(*request["limits"])
        signal.alarm(round(limits.timeout_seconds) + ALARM_MARGIN_SECONDS)
        _write_response(
            responses,
            *decode(Path(os.fsdecode(bytes.fromhex(request["path"]))), limits, allow_truncated=request["cut"]),
        )
        signal.alarm(0)


def decode(path: Path, limits: Limits, *, allow_truncated: bool = False) -> tuple[dict[str, Any], list[bytes]]:
    """Read and convert a file. Returns the header of the response, and the PHOTO_FILES; [] if there is no photo.

    allow_truncated: accept a JPEG that ends too early if at least half of it is present.
    """
    started, photo_id = time.perf_counter(), ""
    try:
        data = _read_file(path, limits)
        photo_id = compute_photo_id(data)
        photo = convert(data, limits, allow_truncated=allow_truncated)
        if limits.live_photos and not photo.motion:
            photo = replace(photo, motion=_read_companion(path, limits))
    except FileNotFoundError:
        return {"gone": True}, []
    except OSError as error:
        refusal = Unreadable(f"cannot be read: {(error.strerror or type(error).__name__).lower()}")
    except Unreadable as unreadable:
        refusal = unreadable
    else:
        fields = asdict(photo)
        files = [fields.pop(name) for name in PHOTO_FILES]
        return {"photo": fields, "seconds": time.perf_counter() - started}, files
    seconds = time.perf_counter() - started
    header = {"photo_id": photo_id, "reason": str(refusal), "error": type(refusal).__name__, "seconds": seconds}
    return header | ({"cause": asdict(refusal.cause)} if refusal.cause else {}), []


def _read_companion(path: Path, limits: Limits) -> bytes:
    """Return the moving pictures of the video beside a picture, as a Live Photo has it; b"" without one."""
    for suffix in (LIVE_PHOTO_SUFFIX.upper(), LIVE_PHOTO_SUFFIX):
        with contextlib.suppress(OSError, Unreadable, MemoryError):  # The picture is a photo all the same.
            data = _read_file(path.with_suffix(suffix), limits)
            return decode_video(data, limits).motion if is_video(data) else b""
    return b""


def _read_file(path: Path, limits: Limits) -> bytes:
    """Return the content of a regular file. Never blocks on a pipe or reads a device. Raises OSError and Unreadable."""
    source = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("is not a file")
        is_too_large = status.st_size > limits.max_bytes
        with os.fdopen(source, "rb", closefd=False) as file:
            data = file.read(SIGNATURE_BYTES if is_too_large else limits.max_bytes + 1)
        if not is_too_large and len(data) <= limits.max_bytes:
            return data
    finally:
        os.close(source)
    most = limits.max_bytes // 1_000_000
    reason = f"is too large: at most {most} MB are taken"
    if is_video(data):  # Outside the inbox it may be anything.
        raise NotAPicture(reason, RefusalCode.TOO_LARGE, most=most)
    choose_decoder(data)  # A large file of another kind is not a picture that is too large.
    raise Unreadable(reason, RefusalCode.TOO_LARGE, most=most)


def parse_photo(fields: dict[str, Any], files: Sequence[bytes]) -> Photo:
    """Return the photo in a response. Raises ValueError and TypeError if the fields or files are invalid."""
    photo = Photo(**fields | dict(zip(PHOTO_FILES, files, strict=True)))
    sides = (photo.width, photo.height)
    if not (
        PHOTO_ID_PATTERN.fullmatch(photo.photo_id)
        and photo.jpeg.startswith(JPEG_SIGNATURE)
        and (not photo.working_jpeg or photo.working_jpeg.startswith(JPEG_SIGNATURE))
        and (not photo.motion or photo.motion[4:8] == MP4_SIGNATURE)
        and all(type(side) is int and 0 < side <= 2 * MAX_PHOTO_SIDE for side in sides)
        and photo.width * photo.height <= MAX_PHOTO_SIDE**2
        and photo.camera.isprintable()
        and len(photo.camera) <= MAX_CAMERA_LENGTH
        and isinstance(photo.is_live_photo_video, bool)
    ):
        raise ValueError("no photo that a decoder makes")
    return photo


def _write_response(stream: BinaryIO, header: dict[str, Any], files: Sequence[bytes]) -> None:
    lengths = [len(file) for file in files]
    stream.write(b"".join([json.dumps(header | {"lengths": lengths}).encode(), b"\n", *files]))
    stream.flush()


if __name__ == "__main__":
    main()
