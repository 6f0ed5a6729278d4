"""HEIC decoded by FFmpeg, in a fraction of the time that libheif takes; the extra `video` installs it (PyAV).

It decodes what phones write: pictures and grids of tiles in HEVC, of 8 bits and 4:2:0, with the matrix and the range of
JPEG. Tiles are shrunk one by one, so that the full picture is never in memory.
"""

import io
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image
from pillow_heif import HeifFile

from producer.decoding.boxes import iterate_boxes
from producer.decoding.color_space import BT601_525, BT601_625, UNSPECIFIED
from producer.decoding.item_properties import ItemProperty, read_item_properties, read_tile_ids

if TYPE_CHECKING:
    import av

#: Properties of pictures that are decoded here. `clap`, which crops, is not among them.
PROPERTIES = {b"ispe", b"pixi", b"hvcC", b"colr", b"irot", b"imir"}

#: FFmpeg's names of 8 bits in 4:2:0.
PIXEL_FORMATS = {"yuv420p", "yuvj420p"}

#: Matrices: BT.601, which is Pillow's YCbCr, and unspecified, which means the same in HEIC.
MATRICES = {UNSPECIFIED, BT601_625, BT601_525}

#: FFmpeg's number of the full range.
FULL_RANGE = 2

#: Pixels by which the coded size of a tile may exceed its own, in width and in height.
CODED_MARGIN = 64

#: How `irot` and `imir` turn a picture, by their value.
_TRANSPOSES = {
    (b"irot", 1): Image.Transpose.ROTATE_90,
    (b"irot", 2): Image.Transpose.ROTATE_180,
    (b"irot", 3): Image.Transpose.ROTATE_270,
    (b"imir", 0): Image.Transpose.FLIP_TOP_BOTTOM,
    (b"imir", 1): Image.Transpose.FLIP_LEFT_RIGHT,
}


class _LeftToLibheif(Exception):
    """A picture is of a kind that is not decoded here."""


def decode_with_ffmpeg(data: bytes, heif: HeifFile, size: tuple[int, int]) -> Image.Image | None:
    """Decode a HEIC to RGB of a smaller size, in its own color space and turned as its container says.

    Returns None if libheif has to decode it: no extra `video`, another kind of picture, or a damaged one. heif: the
    same file, opened by libheif.
    """
    try:
        import av  # noqa: F401
    except ImportError:
        return None
    if (heif.mode, heif.info.get("bit_depth")) != ("RGB", 8):
        return None
    try:
        picture = _decode(data, heif.size, size)
    except Exception:  # Broken files raise any type of exception; libheif tells what is wrong with them.
        return None
    picture.info = heif.info
    return picture


def _decode(data: bytes, upright_size: tuple[int, int], size: tuple[int, int]) -> Image.Image:
    """Decode the primary picture. Raises any exception."""
    properties = read_item_properties(data)
    contents = dict(properties)
    if contents.keys() - PROPERTIES or any(kind == b"moov" for kind, _, _ in iterate_boxes(data)):
        raise _LeftToLibheif  # Tracks of a sequence could be taken for items.
    turns = [_TRANSPOSES[key] for kind, content in properties if (key := (kind, content[0])) in _TRANSPOSES]
    width, height = int.from_bytes(contents[b"ispe"][4:8]), int.from_bytes(contents[b"ispe"][8:12])
    if (width, height) != upright_size:
        if (height, width) != upright_size:
            raise _LeftToLibheif
        size = size[::-1]
    factor = 1 << (min(width // size[0], height // size[1]).bit_length() - 1)
    tile_ids = read_tile_ids(data)
    planes = [_Plane(width, height, factor), *(_Plane(width / 2, height / 2, max(1, factor // 2)) for _ in range(2))]
    for number, frame in _decode_tiles(data, tile_ids):
        _check_color(frame, properties)
        columns, rows = -(-width // frame.width), -(-height // frame.height)
        if len(tile_ids) != columns * rows:
            raise _LeftToLibheif
        for plane, samples in zip(planes, frame.planes, strict=True):
            plane.add_tile(samples, *divmod(number, columns))
    picture = Image.merge("YCbCr", [plane.resize(size) for plane in planes]).convert("RGB")
    for turn in turns:
        picture = picture.transpose(turn)
    return picture


class _Plane:
    """A plane of a picture, put together from tiles that are shrunk by a factor."""

    def __init__(self, width: float, height: float, factor: int) -> None:
        """Create an empty plane. width, height: in samples, with a half where the picture has an odd number."""
        self._size = math.ceil(width), math.ceil(height)
        self._factor = factor
        self._box = 0, 0, width / factor, height / factor
        self._image = Image.new("L", (math.ceil(self._box[2]), math.ceil(self._box[3])))

    def add_tile(self, samples: "av.video.plane.VideoPlane", row: int, column: int) -> None:
        """Add a tile. What exceeds the picture is left out. Raises _LeftToLibheif if it cannot be shrunk alone."""
        size = samples.width, samples.height
        if (row or column) and any(side % self._factor for side in size):
            raise _LeftToLibheif
        left, top = column * samples.width, row * samples.height
        shown = min(size[0], self._size[0] - left), min(size[1], self._size[1] - top)
        tile = Image.frombuffer("L", size, bytes(samples), "raw", "L", samples.line_size, 1)
        shrunk = tile.reduce(self._factor, (0, 0, *shown))
        self._image.paste(shrunk, (left // self._factor, top // self._factor))

    def resize(self, size: tuple[int, int]) -> Image.Image:
        """Return the plane in another size."""
        return self._image.resize(size, Image.Resampling.HAMMING, self._box)


def _decode_tiles(data: bytes, ids: Sequence[int]) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """Yield the tiles of a picture, each with its number. Raises any exception, also if one is missing or damaged."""
    import av

    numbers = {item_id: number for number, item_id in enumerate(ids)}
    with av.open(io.BytesIO(data), "r", format="mp4") as container:
        streams = [stream for stream in container.streams.video if stream.id in numbers]
        if len(streams) != len(ids):
            raise _LeftToLibheif
        first = streams[0].codec_context
        if any(stream.codec_context.extradata != first.extradata for stream in streams):
            raise _LeftToLibheif
        # One decoder for all of them. Grids are decoded tile by tile, others in the rows that their encoder separated.
        decoder = av.CodecContext.create("hevc", "r")
        decoder.extradata = first.extradata
        decoder.thread_type, decoder.thread_count = "FRAME" if len(ids) > 1 else "SLICE", 0
        most_pixels = (first.width + CODED_MARGIN) * (first.height + CODED_MARGIN)
        decoder.options = {"err_detect": "explode", "max_pixels": str(most_pixels)}
        packets: list[av.Packet[Any] | None] = []
        for packet in container.demux(streams):
            if packet.size:
                packet.pts = packet.dts = numbers[packet.stream.id]
                packets.append(packet)
        count = 0
        for item in [*packets, None]:  # None: hand over what is still being decoded
            for frame in decoder.decode(item):
                if frame.is_corrupt or frame.pts is None:
                    raise _LeftToLibheif
                count += 1
                yield frame.pts, frame
        if count != len(ids):
            raise _LeftToLibheif


def _check_color(frame: "av.VideoFrame", properties: Sequence[ItemProperty]) -> None:
    """Raise _LeftToLibheif unless a tile has the matrix and the range of JPEG."""
    matrix, is_full_range = frame.colorspace, frame.color_range == FULL_RANGE
    for kind, content in properties:
        if kind == b"colr" and content[:4] == b"nclx":  # It goes before what the coded picture says.
            matrix, is_full_range = int.from_bytes(content[8:10]), bool(content[10] >> 7)
    if frame.format.name not in PIXEL_FORMATS or matrix not in MATRICES or not is_full_range:
        raise _LeftToLibheif
