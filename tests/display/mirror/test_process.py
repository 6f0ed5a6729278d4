"""The painter process: what it does with frames that no camera made."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from display.mirror.process import MAX_ASPECT, MAX_FRAME_PIXELS, FrameRefused, decode, encode, normalize
from tests.display.mirror.camera import measure_difference, read_scene, to_jpeg

JPEG = to_jpeg(read_scene()[::8, ::8])


def make_file(size: tuple[int, int], kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind)
    return file.getvalue()


def claim_size(width: int, height: int) -> bytes:
    """Return a JPEG whose header says that it has this size."""
    position = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:position] + struct.pack("!HH", height, width) + JPEG[position + 4 :]


def test_a_frame_is_decoded_and_a_painting_encoded() -> None:
    scene = read_scene()
    assert measure_difference(decode(to_jpeg(scene)), scene) < 2
    assert measure_difference(decode(encode(scene)), scene) < 2


def test_a_grey_frame_is_painted_like_any_other() -> None:
    file = io.BytesIO()
    Image.new("L", (8, 8), 90).save(file, "JPEG")
    assert decode(file.getvalue()).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "not a JPEG"),
        (b"\xff\xd8\xff", "not a JPEG"),
        (JPEG[:-200], "damaged"),
        (make_file((64, 64), "PNG"), "not a JPEG"),
        (make_file((64, 64), "GIF"), "not a JPEG"),
        (claim_size(MAX_FRAME_PIXELS // 1000 + 1, 1000), "too many pixels"),
        (claim_size(65_000, 65_000), "too many pixels"),
        (make_file((MAX_ASPECT * 10 + 1, 10), "JPEG"), "too narrow"),
    ],
    ids=range(8),
)
def test_what_is_no_frame_is_refused_with_its_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(FrameRefused, match=reason):
        decode(frame)


@given(position=st.integers(0, len(JPEG) - 1), noise=st.binary(min_size=1, max_size=40))
def test_whatever_is_in_a_frame_it_is_decoded_or_refused(position: int, noise: bytes) -> None:
    frame = JPEG[:position] + noise + JPEG[position + len(noise) :]
    try:
        pixels = decode(frame)
    except FrameRefused:
        return
    assert pixels.size <= 3 * MAX_FRAME_PIXELS


def test_shares_are_parts_of_one() -> None:
    assert normalize(bytes([0, 255, 0])) == [0, 1, 0]
    assert np.isclose(sum(normalize(bytes([13, 200, 7]))), 1)
    with pytest.raises(FrameRefused, match="no style"):
        normalize(bytes(3))
