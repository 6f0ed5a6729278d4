"""XMP packets in files: written into JPEG, PNG, WebP, GIF, MP4 and PDF without encoding anything again, and read.

Where a packet belongs in each: XMP specification, part 3 (ISO 16684-1, Adobe); in WebP: RFC 9649.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from enum import StrEnum
from mmap import ACCESS_READ, mmap
from pathlib import Path

from shared.errors import ArtDreamError

#: A file's content, in memory or on disk.
Content = bytes | mmap

_JPEG_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_SIGNATURE, _PNG_HEADER = b"\x89PNG\r\n\x1a\n", b"XML:com.adobe.xmp\0\0\0\0\0"
_GIF_HEADER = b"\x21\xff\x0bXMP DataXMP"
#: Lets a decoder that takes the packet for blocks of data come out of it at the end (XMP specification, part 3, 1.1.2).
_GIF_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
_MP4_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")

#: How the brands of HEIC and AVIF begin, which are pictures in the boxes of an MP4.
_PICTURE_BRANDS = (b"he", b"mif", b"msf", b"avi")

#: Bit of a WebP's extended header that says that it has a packet; another one, that it has transparency.
_WEBP_XMP_FLAG, _WEBP_ALPHA_FLAG = 0x04, 0x10

#: Bytes of the largest compressed packet of a PNG, when it is expanded.
_MAX_PNG_PACKET = 1_000_000

#: Largest packet of a JPEG, in bytes: the segment's length has 16 bits.
_MAX_JPEG_PACKET = 65_535 - 2 - len(_JPEG_HEADER)


class Container(StrEnum):
    """Kind of a file that can hold a packet, as its media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    GIF = "image/gif"
    MP4 = "video/mp4"
    PDF = "application/pdf"


#: First bytes of the files that a few bytes tell.
_BEGINNINGS = {
    b"\xff\xd8\xff": Container.JPEG,
    _PNG_SIGNATURE: Container.PNG,
    b"GIF8": Container.GIF,
    b"%PDF-": Container.PDF,
}


class DamagedFile(ArtDreamError):
    """A file is cut short, or not what it says it is."""


def detect_container(data: Content) -> Container | None:
    """Return what kind of file this is, by its first bytes; None for any other kind."""
    head = bytes(data[:12])
    if head[4:8] == b"ftyp":
        return None if head[8:12].startswith(_PICTURE_BRANDS) else Container.MP4
    if head[:4] == b"RIFF":
        return Container.WEBP if head[8:12] == b"WEBP" else None
    return next((container for beginning, container in _BEGINNINGS.items() if head.startswith(beginning)), None)


def write_packet(data: bytes, packet: bytes) -> bytes:
    """Return a file with an XMP packet. The pixels stay what they are, and a packet that is there stays, too.

    Raises ValueError for a file of another kind, and DamagedFile.
    """
    match detect_container(data):
        case Container.JPEG:
            return _write_to_jpeg(data, packet)
        case Container.PNG:
            end = 8 + 12 + _read_number(data, 8, ">I")  # behind the first chunk, IHDR
            content = b"iTXt" + _PNG_HEADER + packet
            chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
            return data[:end] + chunk + data[end:]
        case Container.WEBP:
            return _write_to_webp(data, packet)
        case Container.GIF:
            if not data.endswith(b"\x3b"):
                raise DamagedFile("The GIF is cut short.")
            return data[:-1] + _GIF_HEADER + packet + _GIF_TRAILER + data[-1:]
        case Container.MP4:
            return data + make_mp4_box(packet)
        case Container.PDF:
            return data + make_pdf_update(data, packet)
    raise ValueError("A file of this kind takes no XMP packet.")


def append_packet(path: Path, packet: bytes) -> None:
    """Write an XMP packet to the end of an MP4 or a PDF on disk, whatever its size. Raises OSError and DamagedFile."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        is_pdf = detect_container(data) is Container.PDF
        update = make_pdf_update(data, packet) if is_pdf else make_mp4_box(packet)
    with path.open("ab") as end:
        end.write(update)


def read_packet(data: Content) -> bytes | None:
    """Return the XMP packet of a file; None if it has none, or is of another kind.

    Raises DamagedFile if the file is cut short before its packet.
    """
    try:
        match detect_container(data):
            case Container.JPEG:
                return _read_from_jpeg(data)
            case Container.PNG:
                return _read_from_png(data)
            case Container.WEBP:
                return next((data[begin:end] for name, begin, end in _iter_riff(data) if name == b"XMP "), None)
            case Container.GIF:
                return _find_between(data, _GIF_HEADER, b"\x01\xff\xfe\xfd")
            case Container.MP4:
                return _read_from_mp4(data)
            case Container.PDF:
                return _find_last_packet(data)
    except (struct.error, zlib.error, IndexError) as error:
        raise DamagedFile("The file is cut short.") from error
    return None


def _iter_jpeg_segments(data: Content) -> Iterator[tuple[int, int, int]]:
    """Yield marker, begin and end of each segment before the pixels; a segment's length is not part of it."""
    position = 2
    while True:
        ff, marker, length = struct.unpack(">BBH", data[position : position + 4])
        if ff != 0xFF:
            raise DamagedFile("The JPEG is damaged.")
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in (0xD9, 0xDA):
            return
        yield marker, position + 4, position + 2 + length
        position += 2 + length


def _write_to_jpeg(data: bytes, packet: bytes) -> bytes:
    if len(packet) > _MAX_JPEG_PACKET:
        raise ValueError("A JPEG takes no XMP packet of this size.")
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(_JPEG_HEADER) + len(packet)) + _JPEG_HEADER + packet
    end = 2
    for marker, _, segment_end in _iter_jpeg_segments(data):
        if marker != 0xE0:  # JFIF comes first
            break
        end = segment_end
    return data[:end] + segment + data[end:]


def _read_from_jpeg(data: Content) -> bytes | None:
    for marker, begin, end in _iter_jpeg_segments(data):
        if marker == 0xE1 and data[begin : begin + len(_JPEG_HEADER)] == _JPEG_HEADER:
            return bytes(data[begin + len(_JPEG_HEADER) : end])
    return None


def _read_from_png(data: Content) -> bytes | None:
    position = 8
    while True:
        length, name = struct.unpack(">I4s", data[position : position + 8])
        content = data[position + 8 : position + 8 + length] if name == b"iTXt" else b""
        if content.startswith(b"XML:com.adobe.xmp\0"):
            is_compressed = content[18] == 1
            text = content[20:].split(b"\0", 2)[2]
            return zlib.decompressobj().decompress(text, _MAX_PNG_PACKET) if is_compressed else bytes(text)
        if name == b"IEND":
            return None
        position += 12 + length


def _iter_riff(data: Content) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, begin and end of each chunk of a WebP."""
    position = 12
    while position < len(data):
        name, length = struct.unpack("<4sI", data[position : position + 8])
        yield name, position + 8, position + 8 + length
        position += 8 + length + length % 2


def _write_to_webp(data: bytes, packet: bytes) -> bytes:
    body = data[12:]
    if body.startswith(b"VP8X"):
        body = body[:8] + bytes([body[8] | _WEBP_XMP_FLAG]) + body[9:]
    else:
        width, height, has_alpha = _read_webp_size(data)
        flags = _WEBP_XMP_FLAG | (_WEBP_ALPHA_FLAG if has_alpha else 0)
        header = struct.pack("<I", flags) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
        body = b"VP8X" + struct.pack("<I", len(header)) + header + body
    body += b"XMP " + struct.pack("<I", len(packet)) + packet + b"\0" * (len(packet) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _read_webp_size(data: bytes) -> tuple[int, int, bool]:
    """Return width and height in pixels of a WebP without extended header, and whether it has transparency."""
    if data[12:16] == b"VP8L":
        bits = _read_number(data, 21, "<I")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    return _read_number(data, 26, "<H") & 0x3FFF, _read_number(data, 28, "<H") & 0x3FFF, False


def make_mp4_box(packet: bytes) -> bytes:
    """Return a box with an XMP packet, for the end of an MP4: no offset in the file changes."""
    return struct.pack(">I4s", 8 + len(_MP4_UUID) + len(packet), b"uuid") + _MP4_UUID + packet


def _read_from_mp4(data: Content) -> bytes | None:
    position = 0
    while position < len(data):
        length, name = struct.unpack(">I4s", data[position : position + 8])
        begin = position + 8
        if length == 1:
            (length,) = struct.unpack(">Q", data[begin : begin + 8])
            begin += 8
        end = position + length if length else len(data)
        if end < begin:
            raise DamagedFile("The MP4 is damaged.")
        if name == b"uuid" and data[begin : begin + 16] == _MP4_UUID:
            return bytes(data[begin + 16 : end])
        position = end
    return None


def make_pdf_update(data: Content, packet: bytes) -> bytes:
    """Return an update for the end of a PDF that gives it an XMP packet (ISO 32000-1, 7.5.6 and 14.3.2).

    The PDF has a plain table of its objects, as PDFium and Pillow write it. Raises DamagedFile for another one.
    """
    trailer_begin = data.rfind(b"trailer")
    trailer = bytes(data[trailer_begin:])
    root = re.search(rb"/Root\s+(\d+)\s+0\s+R", trailer)
    size, table = re.search(rb"/Size\s+(\d+)", trailer), re.search(rb"startxref\s+(\d+)", trailer)
    if trailer_begin < 0 or not (root and size and table):
        raise DamagedFile("The PDF has no plain table of its objects.")
    catalog_begin = _find_pdf_object(data, int(root[1]))
    catalog_end = data.find(b"endobj", catalog_begin)
    catalog = bytes(data[catalog_begin:catalog_end]).strip()
    if catalog_begin < 0 or not catalog.endswith(b">>"):
        raise DamagedFile("The PDF has no catalog.")
    number = int(size[1])
    first = b"\n%d 0 obj\n%s /Metadata %d 0 R>>\nendobj\n" % (int(root[1]), catalog[:-2], number)
    second = b"%d 0 obj\n<</Type /Metadata /Subtype /XML /Length %d>>\nstream\n%s\nendstream\nendobj\n" % (
        number,
        len(packet),
        packet,
    )
    offset = len(data)
    other_entries = b"".join(re.findall(rb"/(?:ID\s*\[[^\]]*\]|Info\s+\d+\s+\d+\s+R)", trailer))
    references = (
        b"xref\n%d 1\n%010d 00000 n \n%d 1\n%010d 00000 n \n" % (int(root[1]), offset + 1, number, offset + len(first))
        + b"trailer\n<</Size %d /Root %d 0 R /Prev %d%s>>\n" % (number + 1, int(root[1]), int(table[1]), other_entries)
        + b"startxref\n%d\n%%%%EOF\n" % (offset + len(first) + len(second))
    )
    return first + second + references


def _find_pdf_object(data: Content, number: int) -> int:
    """Return where the newest content of an object begins; -1 if there is none."""
    end = len(data)
    heading = b"%d 0 obj" % number
    while (begin := data.rfind(heading, 0, end)) >= 0:
        if begin == 0 or data[begin - 1 : begin] in (b"\n", b"\r", b" "):
            return begin + len(heading)
        end = begin
    return -1


def _find_last_packet(data: Content) -> bytes | None:
    begin = data.rfind(b"<x:xmpmeta")
    end = data.find(b"</x:xmpmeta>", begin)
    return bytes(data[begin : end + len(b"</x:xmpmeta>")]) if 0 <= begin < end else None


def _find_between(data: Content, before: bytes, after: bytes) -> bytes | None:
    if (begin := data.find(before)) < 0:
        return None
    begin += len(before)
    end = data.find(after, begin)
    return bytes(data[begin:end]) if end >= 0 else None


def _read_number(data: bytes, position: int, form: str) -> int:
    try:
        return int(struct.unpack_from(form, data, position)[0])
    except struct.error as error:
        raise DamagedFile("The file is cut short.") from error
