"""HEICs as phones write them, which no encoder at hand writes: grids of tiles in HEVC (ISO/IEC 23008-12, 6.6.2.3)."""

import io
import struct

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

#: Side of a tile in pixels.
TILE_SIDE = 128


def encode_grid(picture: Image.Image, *turns: tuple[bytes, int], full_range: bool = True, left_out: int = 0) -> bytes:
    """Return an RGB picture as a HEIC of tiles.

    turns: `irot` and `imir` with their values. full_range: of the luma samples, instead of 16 to 235. left_out: number
    of tiles that are missing at the end.
    """
    columns, rows = (-(-side // TILE_SIDE) for side in picture.size)
    canvas = np.pad(
        np.asarray(picture),
        ((0, rows * TILE_SIDE - picture.height), (0, columns * TILE_SIDE - picture.width), (0, 0)),
        mode="edge",
    )
    tiles = canvas.reshape(rows, TILE_SIDE, columns, TILE_SIDE, 3).swapaxes(1, 2).reshape(-1, TILE_SIDE, TILE_SIDE, 3)
    configuration, samples = _encode_hevc(tiles, full_range=full_range)
    count = len(samples)
    grid_id = count + 1
    properties = [
        _box(b"ispe", bytes(4), struct.pack(">II", *picture.size)),
        _box(b"ispe", bytes(4), struct.pack(">II", TILE_SIDE, TILE_SIDE)),
        _box(b"hvcC", configuration),
        *(_box(kind, bytes([value])) for kind, value in turns),
    ]
    associations = [(grid_id, [1, *range(4, 4 + len(turns))]), *((number, [2, 3]) for number in range(1, grid_id))]
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *picture.size)
    sources = range(1, grid_id - left_out)

    def build_meta(first_offset: int) -> bytes:
        offsets = first_offset + np.cumsum([0, *map(len, samples)])
        locations = [
            struct.pack(">HHHHII", number + 1, 0, 0, 1, offsets[number], len(sample))
            for number, sample in enumerate(samples)
        ]
        in_meta = struct.pack(">HHHHII", grid_id, 1, 0, 1, 0, len(grid))
        kinds = [(number, b"hvc1") for number in range(1, grid_id)] + [(grid_id, b"grid")]
        return _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", bytes(8), b"pict", bytes(13)),
            _box(b"pitm", bytes(4), struct.pack(">H", grid_id)),
            _box(b"iloc", b"\1\0\0\0", b"\x44\0", struct.pack(">H", grid_id), *locations, in_meta),
            _box(
                b"iinf",
                bytes(4),
                struct.pack(">H", grid_id),
                *(_box(b"infe", b"\2\0\0\0", struct.pack(">HH", item_id, 0), kind, b"\0") for item_id, kind in kinds),
            ),
            _box(
                b"iref",
                bytes(4),
                _box(b"dimg", struct.pack(f">HH{len(sources)}H", grid_id, len(sources), *sources)),
            ),
            _box(
                b"iprp",
                _box(b"ipco", *properties),
                _box(
                    b"ipma",
                    bytes(4),
                    struct.pack(">I", len(associations)),
                    *(struct.pack(">HB", item_id, len(used)) + bytes(used) for item_id, used in associations),
                ),
            ),
            _box(b"idat", grid),
        )

    file_type = _box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    first_offset = len(file_type) + len(build_meta(0)) + 8
    return file_type + build_meta(first_offset) + _box(b"mdat", *samples)


def _encode_hevc(tiles: np.ndarray, *, full_range: bool) -> tuple[bytes, list[bytes]]:
    """Return the configuration and the samples of tiles (number, side, side, 3) uint8, each coded alone."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as film:
        stream = film.add_stream("libx265", rate=1)
        stream.width = stream.height = TILE_SIDE
        stream.pix_fmt = "yuv420p"
        stream.codec_tag = "hvc1"
        color_range = "full" if full_range else "limited"
        parameters = f"keyint=1:crf=10:range={color_range}:colormatrix=smpte170m:log-level=none:info=0"
        stream.options = {"x265-params": parameters, "preset": "ultrafast"}
        for tile in tiles:
            frame = av.VideoFrame.from_ndarray(tile)
            film.mux(
                stream.encode(
                    frame.reformat(
                        format="yuv420p",
                        dst_colorspace=Colorspace.ITU601,
                        dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
                    )
                )
            )
        film.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as coded:
        samples = [bytes(packet) for packet in coded.demux(video=0) if packet.size]
        configuration = coded.streams.video[0].codec_context.extradata
    assert configuration is not None
    return configuration, samples


def _box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I", 8 + len(content)) + kind + content
