"""The logo of an event: one that is damaged, or no PNG, is left out of prints, clips and films, which says the log."""

import io
import struct
import zlib

import pytest
from PIL import Image

from shared.storage.logo import load_logo
from shared.storage.object_names import logo_name
from shared.storage.store import Store

NAME = logo_name("0" * 64)


def encode(kind: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (600, 400), (230, 20, 60)).save(data, kind)
    return data.getvalue()


PNG = encode("PNG")


def break_png() -> bytes:
    """Return a PNG with less data than its header says, and then a chunk that has no name: a syntax error to Pillow."""
    start = PNG.index(b"IDAT")
    chunk = PNG[start : start + 504]
    return PNG[: start - 4] + struct.pack(">I", 500) + chunk + struct.pack(">I", zlib.crc32(chunk)) + bytes(12)


def test_a_logo_is_read_with_its_transparency(store: Store) -> None:
    store.put(NAME, PNG)
    logo = load_logo(store, NAME)
    assert logo
    assert (logo.mode, logo.size) == ("RGBA", (600, 400))


@pytest.mark.parametrize("data", [PNG[:60], break_png(), b"", b"text", encode("EPS"), encode("TIFF")])
def test_what_is_no_logo_is_left_out_and_the_log_names_it(
    store: Store, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store.put(NAME, data)
    assert load_logo(store, NAME) is None
    assert f"{NAME} is damaged in the store" in caplog.text


def test_an_event_without_a_logo_or_whose_logo_is_gone_has_none(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    assert load_logo(store, "") is None
    assert load_logo(store, NAME) is None
    assert not caplog.text
