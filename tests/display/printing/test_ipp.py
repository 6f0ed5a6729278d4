"""IPP: what is sent is what RFC 8010 says, and no answer, however broken, is taken for a good one."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from display.printing.ipp import (
    Answer,
    IppClient,
    Operation,
    PrintServerUnavailable,
    Tag,
    decode_answer,
    encode_request,
)
from shared.errors import ArtDreamError


def test_a_request_has_the_bytes_of_the_standard() -> None:
    size = {"x-dimension": (Tag.INTEGER, 1000)}
    body = encode_request(
        Operation.PRINT_JOB,
        {"attributes-charset": (Tag.CHARSET, "utf-8"), "requested-attributes": (Tag.KEYWORD, ["a", "b"])},
        {"media-col": (Tag.COLLECTION, {"media-size": (Tag.COLLECTION, size)}), "flag": (Tag.BOOLEAN, True)},
    )
    assert body == (
        b"\x02\x00\x00\x02\x00\x00\x00\x01\x01"
        b"\x47\x00\x12attributes-charset\x00\x05utf-8"
        b"\x44\x00\x14requested-attributes\x00\x01a\x44\x00\x00\x00\x01b\x02"
        b"\x34\x00\x09media-col\x00\x00\x4a\x00\x00\x00\x0amedia-size\x34\x00\x00\x00\x00"
        b"\x4a\x00\x00\x00\x0bx-dimension\x21\x00\x00\x00\x04\x00\x00\x03\xe8"
        b"\x37\x00\x00\x00\x00\x37\x00\x00\x00\x00"
        b"\x22\x00\x04flag\x00\x01\x01\x03"
    )


def test_an_answer_is_read_group_by_group_and_collections_are_skipped() -> None:
    data = (
        struct.pack(">BBHI", 2, 0, 0x0001, 1)
        + b"\x01\x47\x00\x12attributes-charset\x00\x05utf-8"
        + b"\x02\x21\x00\x06job-id\x00\x04\x00\x00\x00\x07\x42\x00\x08job-name\x00\x01x"
        + b"\x34\x00\x09media-col\x00\x00\x4a\x00\x00\x00\x01m\x21\x00\x00\x00\x04\x00\x00\x00\x01\x37\x00\x00\x00\x00"
        + b"\x02\x21\x00\x06job-id\x00\x04\x00\x00\x00\x08\x22\x00\x01f\x00\x01\x00\x22\x00\x00\x00\x01\x01\x03rest"
    )
    answer = decode_answer(data)
    assert answer.status == 1
    assert answer.list_groups(2) == [{"job-id": [7], "job-name": ["x"]}, {"job-id": [8], "f": [False, True]}]


@given(st.binary(max_size=60), st.booleans())
def test_no_bytes_break_the_reader(data: bytes, has_head: bool) -> None:
    try:
        answer = decode_answer((struct.pack(">BBHI", 2, 0, 0, 1) if has_head else b"") + data)
    except PrintServerUnavailable:
        return
    assert isinstance(answer, Answer)


@pytest.mark.parametrize("url", ["", "Booth", "http://host/x", "ipp://", "ipp:///x"])
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ArtDreamError, match="looks like ipp://host:631/ipp/print"):
        IppClient(url)


def test_a_password_in_an_address_is_not_shown() -> None:
    assert IppClient("ipp://user:secret@host:8631/ipp/print").url == "ipp://host:8631/ipp/print"
