"""Videos as phones make them: generated pictures that move, in MP4 or MOV."""

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image


def make_moving_pictures(count: int = 30, size: tuple[int, int] = (320, 240)) -> list[Image.Image]:
    """Return a scene with coloured corners, and a white ball that rolls from left to right."""
    width, height = size
    scene = np.full((height, width, 3), 90, np.uint8)
    scene[: height // 3, : width // 3] = (200, 40, 40)
    scene[: height // 3, -width // 3 :] = (40, 180, 40)
    scene[-height // 3 :, : width // 3] = (40, 40, 200)
    pictures = []
    for number in range(count):
        picture = scene.copy()
        left = round((width - 40) * number / max(1, count - 1))
        picture[height // 2 - 20 : height // 2 + 20, left : left + 40] = 235
        pictures.append(Image.fromarray(picture))
    return pictures


def encode_video(
    pictures: Sequence[Image.Image],
    *,
    rate: int = 30,
    codec: str = "libx264",
    container: str = "mp4",
    pixel_format: str = "yuv420p",
    rotation: int | None = None,
    times: Sequence[float] | None = None,
    colors: tuple[int, int, int] = (1, 1, 1),
    metadata: dict[str, str] | None = None,
    audio: bool = False,
) -> bytes:
    """Return a video.

    rotation: in the display matrix, in degrees. times: of each picture in seconds, instead of `rate`. colors: numbers
    of primaries, transfer and matrix (ITU-T H.273).
    """
    file = io.BytesIO()
    options = {"movflags": "use_metadata_tags"} if metadata else {}
    with av.open(file, "w", format=container, options=options) as output:
        output.metadata.update(metadata or {})
        stream: Any = output.add_stream(codec, rate=rate, options={"crf": "10", "x265-params": "log-level=none"})
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = pixel_format
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = colors
        if rotation is not None:
            stream.set_display_rotation(rotation)
        sound: Any = output.add_stream("aac", rate=44100) if audio else None
        if times is not None:
            context.time_base = stream.time_base = Fraction(1, 600)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_image(picture)
            if times is not None:
                frame.pts, frame.time_base = round(times[number] * 600), context.time_base
            frame = frame.reformat(format=pixel_format, dst_colorspace=colors[2] if colors[2] != 2 else None)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
            silence.sample_rate = 44100
            output.mux(sound.encode(silence))
            output.mux(sound.encode(None))
    return file.getvalue()


def decode_pictures(video: bytes) -> list[Image.Image]:
    """Return the pictures of a video."""
    with av.open(io.BytesIO(video), "r") as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def set_matrix(video: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """Return a video with another matrix in its track header (ISO/IEC 14496-12, 8.3.2)."""
    start = video.index(b"tkhd") - 4 + 48
    values = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return video[:start] + b"".join(value.to_bytes(4, signed=True) for value in values) + video[start + 36 :]
