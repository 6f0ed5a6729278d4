"""Painting process: paints the frames of all mirrors, so that neither walls nor phones wait for it.

Reads frames from standard input and writes paintings to standard output, until the display closes the pipe or dies.
What it decodes comes from browsers: it decodes nothing but JPEG, and looks at the size first.
"""

import io
import os
import signal
import struct
import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from display.mirror.stylizer import Pixels, Stylizer
from shared.errors import ArtDreamError

#: Pixels of the largest frame: cameras have more, but a mirror sends what the network sees.
MAX_FRAME_PIXELS = 2_000_000

#: How often the short side of a frame fits into its long side, at most.
MAX_ASPECT = 4

#: Quality of the JPEG of a painting.
PAINTING_QUALITY = 90

#: Head of a request: the bytes of its shares, and those of its frame.
REQUEST_HEAD = struct.Struct("!HI")

#: Head of a response: its kind, and the bytes of its content.
RESPONSE_HEAD = struct.Struct("!BI")


class ResponseKind(IntEnum):
    """What a response contains."""

    #: Nothing: the network is loaded.
    READY = 0
    #: A JPEG.
    PAINTING = 1
    #: The reason why the frame is not painted, which is the browser's fault.
    REFUSED = 2
    #: The reason why nothing can be painted.
    FAILED = 3


class FrameRefused(Exception):
    """A frame that is not painted; the text is the reason, for the browser."""


def main() -> None:
    """Load the network of the folder in the first argument, and answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the display handles Ctrl-C
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries must not mix with responses
    try:
        stylizer = Stylizer(Path(sys.argv[1]))
    except ArtDreamError as error:
        _respond(responses, ResponseKind.FAILED, str(error).encode())
        return
    _respond(responses, ResponseKind.READY)
    while head := sys.stdin.buffer.read(REQUEST_HEAD.size):
        share_count, frame_length = REQUEST_HEAD.unpack(head)
        shares, frame = sys.stdin.buffer.read(share_count), sys.stdin.buffer.read(frame_length)
        _respond(responses, *_answer(stylizer.paint, frame, shares))


def _answer(paint: Callable[[Pixels, list[float]], Pixels], frame: bytes, shares: bytes) -> tuple[ResponseKind, bytes]:
    try:
        parts = normalize(shares)
        return ResponseKind.PAINTING, encode(paint(decode(frame), parts))
    except FrameRefused as error:
        return ResponseKind.REFUSED, str(error).encode()
    except Exception as error:
        return ResponseKind.FAILED, f"{type(error).__name__}: {error}".encode()


def normalize(shares: bytes) -> list[float]:
    """Return shares whose sum is 1. shares: a byte for each style. Raises FrameRefused if all are 0."""
    total = sum(shares)
    if not total:
        raise FrameRefused("no style has a share")
    return [share / total for share in shares]


def decode(frame: bytes) -> Pixels:
    """Return the pixels of a JPEG. Raises FrameRefused if it is none, is damaged, too large or too narrow."""
    try:
        with Image.open(io.BytesIO(frame), formats=["JPEG"]) as picture:
            if picture.width * picture.height > MAX_FRAME_PIXELS:
                raise FrameRefused("the frame has too many pixels")
            if max(picture.size) > MAX_ASPECT * min(picture.size):
                raise FrameRefused("the frame is too narrow")
            return np.asarray(picture.convert("RGB"))
    except UnidentifiedImageError:
        raise FrameRefused("the frame is not a JPEG") from None
    except Image.DecompressionBombError:
        raise FrameRefused("the frame has too many pixels") from None
    except (OSError, SyntaxError, ValueError):
        raise FrameRefused("the frame is damaged") from None


def encode(painting: Pixels) -> bytes:
    """Return a painting as a JPEG."""
    file = io.BytesIO()
    Image.fromarray(painting).save(file, "JPEG", quality=PAINTING_QUALITY)
    return file.getvalue()


def _respond(stream: BinaryIO, kind: ResponseKind, content: bytes = b"") -> None:
    stream.write(RESPONSE_HEAD.pack(kind, len(content)) + content)
    stream.flush()


if __name__ == "__main__":
    main()
