"""A packet goes into a file and comes out of it, and every pixel stays what it was."""

import io
import json
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from shared.provenance.containers import (
    Container,
    DamagedFile,
    append_packet,
    detect_container,
    read_packet,
    write_packet,
)
from shared.provenance.key import make_key
from shared.provenance.signing import ManifestSigner
from shared.provenance.statement import SOURCE_TYPE_PREFIX, SourceType, Statement, parse_packet
from tests.pictures import encode_heic, make_picture
from tests.skip import skip_or_fail
from tests.worker.clips.videos import Pictures, decode_video, make_pictures
from worker.clips.clip_formats import encode_gif
from worker.clips.video_encoder import encode_mp4, encode_webp

PACKET = Statement(program="ArtDream 1.0", title="Träume").to_packet()


def encode(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = make_picture(1, (64, 48))
    if options.pop("transparent", False):
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


ANIMATION = Pictures(make_pictures(5, (96, 64)))

FILES = {
    "jpeg": encode("JPEG", comment=b"Dreamt by ArtDream"),
    "jpeg-with-exif": encode("JPEG", exif=Image.Exif().tobytes()),
    "png": encode("PNG"),
    "png-with-alpha": encode("PNG", transparent=True),
    "webp": encode("WEBP"),
    "webp-lossless": encode("WEBP", lossless=True),
    "webp-with-alpha": encode("WEBP", lossless=True, transparent=True),
    "webp-moving": encode_webp(ANIMATION),
    "gif": encode_gif(ANIMATION),
    "mp4": encode_mp4(ANIMATION),
    "pdf": encode("PDF"),
}


def decode(data: bytes) -> list[np.ndarray]:
    """Return the pictures of a file."""
    match detect_container(data):
        case Container.MP4:
            return decode_video(data)
        case Container.PDF:
            with pypdfium2.PdfDocument(data) as document:
                return [np.asarray(page.render().to_pil()) for page in document]
    with Image.open(io.BytesIO(data)) as image:
        pictures = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            pictures.append(np.asarray(image.convert("RGBA")))
        return pictures


@pytest.mark.parametrize("name", FILES)
def test_a_packet_comes_back_and_the_pixels_are_the_same(name: str) -> None:
    data = FILES[name]
    assert read_packet(data) is None
    written = write_packet(data, PACKET)
    assert Statement.brief().source_type.encode() in (read_packet(written) or b"")
    before, after = decode(data), decode(written)
    assert len(before) == len(after)
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "webp-lossless", "webp-moving"])
def test_pillow_finds_the_packet(name: str) -> None:
    with Image.open(io.BytesIO(write_packet(FILES[name], PACKET))) as image:
        image.load()
        assert image.info["xmp"] in (PACKET, PACKET.decode())


def test_the_file_stays_one_of_its_kind() -> None:
    assert write_packet(FILES["jpeg"], PACKET)[2:11] == FILES["jpeg"][2:11]  # JFIF comes first
    for packet in (PACKET, PACKET + b" "):
        opaque, transparent = (write_packet(FILES[name], packet) for name in ("webp-lossless", "webp-with-alpha"))
        assert (opaque[20], transparent[20]) == (0x04, 0x14)  # the header names the packet, and transparency
        for written in (opaque, transparent):
            assert int.from_bytes(written[4:8], "little") == len(written) - 8
            assert len(written) % 2 == 0
            assert read_packet(written) == packet


def test_a_packet_is_appended_to_a_film_and_a_sheet_on_disk(tmp_path: Path) -> None:
    for name in ("mp4", "pdf"):
        path = tmp_path / name
        path.write_bytes(FILES[name])
        append_packet(path, PACKET)
        assert path.read_bytes() == write_packet(FILES[name], PACKET)


def test_a_compressed_packet_of_another_program_is_read() -> None:
    plain = write_packet(FILES["png"], PACKET)
    begin = plain.index(b"iTXt") - 4
    text = b"iTXtXML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(PACKET)
    chunk = (len(text) - 4).to_bytes(4) + text + zlib.crc32(text).to_bytes(4)
    end = begin + 12 + int.from_bytes(plain[begin : begin + 4])
    assert read_packet(plain[:begin] + chunk + plain[end:]) == PACKET


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_short_or_damaged_is_no_error_but_damaged(name: str) -> None:
    written = write_packet(FILES[name], PACKET)
    numbers = np.random.default_rng(3)
    for length in numbers.integers(0, len(written), 60):
        damaged = bytearray(written)
        damaged[int(length)] ^= 0xFF
        for data in (written[: int(length)], bytes(damaged)):
            try:
                packet = read_packet(data)
            except DamagedFile:
                continue
            assert packet is None or len(packet) <= len(written)


def test_what_is_no_picture_has_no_kind() -> None:
    for data in (b"", b"\0" * 20, b"<svg>", b"RIFF\0\0\0\0WAVE", b"ftyp", encode_heic(make_picture(1, (64, 48)))):
        assert detect_container(data) is None
        assert read_packet(data) is None
        with pytest.raises(ValueError, match="no XMP packet"):
            write_packet(data, PACKET)


@pytest.mark.slow
def test_a_reader_that_is_not_ours_finds_the_source_type_in_every_kind_of_file(tmp_path: Path) -> None:
    if shutil.which("exiftool") is None:
        skip_or_fail("exiftool is not installed (Debian's package libimage-exiftool-perl)")
    signer = ManifestSigner(*(path.read_bytes() for path in make_key(tmp_path / "keys", "Museum of Example")))
    files = {name: write_packet(data, PACKET) for name, data in FILES.items()}
    statement = parse_packet(PACKET)
    assert statement
    files |= {f"{name}-signed": signer.sign(files[name], statement) for name in ("jpeg", "mp4")}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    fields = ("-XMP-iptcExt:DigitalSourceType", "-XMP-dc:Title", "-XMP-xmp:CreatorTool", "-Warning", "-Error")
    command = ["exiftool", "-json", *fields, *files]
    read = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
    assert len(read) == len(files)
    for entry in read:
        assert entry == {
            "SourceFile": entry["SourceFile"],
            "DigitalSourceType": SOURCE_TYPE_PREFIX + SourceType.COMPOSITE,
            "Title": "Träume",
            "CreatorTool": "ArtDream 1.0",
        }
