"""Bombs and chimeras: small files that decode to huge ones, and files of two formats at once. Always the same bytes."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.fault.mutations import iterate_boxes, make_png_chunk
from tests.pictures import encode_heic, encode_jpeg, make_picture

#: Frames of an animation that takes too long to decode.
ANIMATION_FRAMES = 10_000

#: A megabyte of zeros, deflated.
_DEFLATED_MEGABYTE = zlib.compress(bytes(1 << 20), 9)


def generate_bombs(*, large: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield (file name, content).

    large: with files that take seconds to make, and about a gigabyte of memory if they are decoded
    """
    yield "60000x60000.png", make_png(60_000, 60_000, 1, 0, b"")
    yield "claims-more-than-it-has.png", make_png(10_000, 10_000, 8, 6, b"")
    yield "negative.png", make_png(0x80000001, 0xFFFFFFFF, 8, 2, b"")
    yield "text-bomb.png", make_png(64, 48, 8, 2, make_png_chunk(b"zTXt", b"a\0\0" + deflate_zeros(200)))
    yield "profile-bomb.png", make_png(64, 48, 8, 2, make_png_chunk(b"iCCP", b"a\0\0" + deflate_zeros(200)))
    yield "frames.apng.png", make_animated_png(ANIMATION_FRAMES)
    yield "frames.webp", make_animated_webp(ANIMATION_FRAMES)
    yield "frames.gif", make_animated_gif(ANIMATION_FRAMES)
    yield "frames.avif", make_avif_sequence(60)
    yield "strips.tif", make_tiff(4000, 4000, strip_bytes=0x7FFFFFFF)
    yield "more-strips-than-bytes.tif", make_tiff(65_535, 1800, strip_bytes=0xFFFFFFF0, strip_count=500_000)
    yield "tags-in-a-circle.tif", make_tiff(64, 48, strip_bytes=64 * 48, next_offset=8)
    yield "circular-exif.jpg", make_jpeg_with_exif(b"MM\0*\0\0\0\x08\0\x01\x87\x69\0\4\0\0\0\1\0\0\0\x08\0\0\0\x08")
    yield "absurd-exif.jpg", make_jpeg_with_exif(b"II*\0\x08\0\0\0\xff\xff" + random.Random(1).randbytes(60_000))
    yield (
        "profile-junk.jpg",
        make_jpeg_with_segments([(0xE2, b"ICC_PROFILE\0" + bytes((n, 255)) + bytes(65_000)) for n in range(1, 256)]),
    )
    yield (
        "wrong-profile.jpg",
        make_jpeg_with_segments([(0xE2, b"ICC_PROFILE\0\1\1" + random.Random(2).randbytes(3000))]),
    )
    yield "deep-xmp.jpg", make_jpeg_with_segments([(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"<a>" * 20_000)] * 20)
    yield "comments.jpg", make_jpeg_with_segments([(0xFE, b"?" * 60)] * 50_000)
    yield "scans.jpg", make_jpeg_with_many_scans()
    photo = encode_heic(make_picture(1, (96, 72)))
    yield "says-it-is-huge.heic", declare_heic_size(photo, 0x7FFFFFFF, 0x7FFFFFFF)
    yield "says-it-is-just-within.heic", declare_heic_size(photo, 10_900, 10_900)
    yield "says-it-is-tiny.heic", declare_heic_size(photo, 1, 1)
    yield "says-it-is-nothing.heic", declare_heic_size(photo, 0, 0)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("../../evil.py"), "open('owned', 'w')")
    yield "zip-inside.heic", photo + (len(archive.getvalue()) + 8).to_bytes(4) + b"free" + archive.getvalue()
    yield "zip-behind.jpg", encode_jpeg(make_picture(2, (96, 72))) + archive.getvalue()
    yield "pdf-and.jpg", make_jpeg_with_segments([(0xFE, b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n%%EOF")])
    yield "pdf-in-front.jpg", b"%PDF-1.4\n%" + encode_jpeg(make_picture(3, (96, 72)))
    yield "html-and.png", make_png(64, 48, 8, 2, make_png_chunk(b"tEXt", b"c\0<script>alert(document.domain)</script>"))
    yield "html-in-front.png", b"<!DOCTYPE html><script>alert(1)</script>" + make_png(64, 48, 8, 2, b"")
    yield "script.jpg", b"#!/bin/sh\ntouch owned\n"
    yield "drawing.jpg", b"%!PS-Adobe-3.0\n(/etc/passwd) (r) file\nshowpage\n"
    yield "drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    if large:
        yield "a-gigabyte.png", make_png(10_900, 10_900, 16, 6, b"", with_all_pixels=True)
        yield "450-megabytes.tif", make_deflated_tiff(10_900, 10_900)
        wide = io.BytesIO()
        Image.new("L", (10_900, 10_900), 128).save(wide, "AVIF", quality=10, speed=10)
        yield "119-megapixels.avif", wide.getvalue()


def deflate_zeros(megabytes: int) -> bytes:
    """Return so many megabytes of zeros, deflated."""
    compressor = zlib.compressobj(9)
    return b"".join([*(compressor.compress(bytes(1 << 20)) for _ in range(megabytes)), compressor.flush()])


def make_png(
    width: int, height: int, depth: int, color_type: int, extra_chunks: bytes, *, with_all_pixels: bool = False
) -> bytes:
    """Return a PNG of zeros; from 1 MiB on it has only two rows of pixels, unless `with_all_pixels`."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    row = 1 + width * depth * {0: 1, 2: 3, 6: 4}[color_type] // 8
    compressor = zlib.compressobj(1)
    rows = height if with_all_pixels or height * row < 1 << 20 else 2
    pixels = b"".join(compressor.compress(bytes(min(row, 1 << 20))) for _ in range(rows)) + compressor.flush()
    parts = (
        make_png_chunk(b"IHDR", header),
        extra_chunks,
        make_png_chunk(b"IDAT", pixels),
        make_png_chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def make_animated_png(frames: int) -> bytes:
    """Return an APNG with so many frame headers."""
    control = b"".join(
        make_png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", n, 64, 48, 0, 0, 1, 100, 0, 0))
        for n in range(0, 2 * frames, 2)
    )
    return make_png(64, 48, 8, 2, make_png_chunk(b"acTL", struct.pack(">II", frames, 0)) + control)


def make_animated_webp(frames: int) -> bytes:
    """Return a WebP of so many equal frames."""
    single = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(single, "WEBP", lossless=True)
    frame = bytes(6) + (15).to_bytes(3, "little") * 2 + bytes(4) + single.getvalue()[12:]
    data = _make_riff_chunk(b"VP8X", b"\x02\0\0\0" + (15).to_bytes(3, "little") * 2) + _make_riff_chunk(
        b"ANIM", bytes(6)
    )
    data += _make_riff_chunk(b"ANMF", frame) * frames
    return b"RIFF" + (4 + len(data)).to_bytes(4, "little") + b"WEBP" + data


def make_animated_gif(frames: int) -> bytes:
    """Return a GIF, a format that is not accepted."""
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    return b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * frames + b";"


def make_avif_sequence(frames: int) -> bytes:
    """Return an AVIF image sequence."""
    sequence = io.BytesIO()
    first, *others = (Image.new("RGB", (16, 16), (n, 0, 0)) for n in range(frames))
    first.save(sequence, "AVIF", save_all=True, append_images=others, speed=10)
    data = bytearray(sequence.getvalue())
    for box in iterate_boxes(sequence.getvalue()):
        if box.kind in (b"mvhd", b"tkhd", b"mdhd"):  # the creation time, so that the bytes are always the same
            data[box.start + 12 : box.start + 28] = bytes(16)
    return bytes(data)


def make_tiff(width: int, height: int, *, strip_bytes: int, strip_count: int = 1, next_offset: int = 0) -> bytes:
    """Return a grey TIFF with false strip sizes and counts.

    next_offset: offset of the next directory, 0 if there is none
    """
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (277, 1), (278, 0xFFFFFFFF)]
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags]
    entries.append(struct.pack("<HHII", 273, 4, strip_count, 200))
    entries.append(struct.pack("<HHII", 279, 4, strip_count, strip_bytes))
    entries.sort(key=lambda entry: entry[:2][::-1])
    directory = struct.pack("<H", len(entries)) + b"".join(entries)
    data = b"II*\0" + (8).to_bytes(4, "little") + directory + next_offset.to_bytes(4, "little")
    return data.ljust(200, b"\0") + bytes(64 * 48)


def make_deflated_tiff(width: int, height: int) -> bytes:
    """Return a deflated TIFF of zeros in one strip, with four channels of 8 bits."""
    compressor = zlib.compressobj(1)
    pixels = b"".join(compressor.compress(bytes(4 * width)) for _ in range(height)) + compressor.flush()
    tags = [(256, width), (257, height), (258, 8), (259, 8), (262, 2), (273, 300), (277, 4), (278, height)]
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in [*tags, (279, len(pixels)), (338, 2)]]
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return (b"II*\0" + (8).to_bytes(4, "little") + directory).ljust(300, b"\0") + pixels


def make_jpeg_with_segments(segments: list[tuple[int, bytes]]) -> bytes:
    """Return a JPEG that begins with the given segments, (marker, content) each."""
    extra = b"".join(bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2) + body for marker, body in segments)
    photo = encode_jpeg(make_picture(4, (96, 72)))
    return photo[:2] + extra + photo[2:]


def make_jpeg_with_exif(exif: bytes) -> bytes:
    """Return a JPEG with the given EXIF data."""
    return make_jpeg_with_segments([(0xE1, b"Exif\0\0" + exif[:65_000])])


def make_jpeg_with_many_scans() -> bytes:
    """Return a progressive JPEG that repeats its scans a thousand times."""
    picture = io.BytesIO()
    make_picture(5, (512, 384)).save(picture, "JPEG", progressive=True)
    data = picture.getvalue()
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    return data[:second] + data[second:-2] * 1000 + data[-2:]


def declare_heic_size(photo: bytes, width: int, height: int) -> bytes:
    """Return a HEIC with another declared size in pixels."""
    for box in iterate_boxes(photo):
        if box.kind == b"ispe":
            photo = photo[: box.start + 12] + struct.pack(">II", width, height) + photo[box.end :]
    return photo


def _make_riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
