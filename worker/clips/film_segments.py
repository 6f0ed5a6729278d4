"""Segments of a film: each encoded on its own, and joined without encoding anything again."""

import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from PIL import Image

from shared.errors import ArtDreamError
from shared.jpeg_marker import JPEG_MARKER
from shared.provenance.containers import append_packet
from shared.provenance.statement import Statement
from shared.recipe.canvas import Canvas
from worker.clips.animations import blend, smootherstep
from worker.clips.video_encoder import ACCURATE_CHROMA, BT709

#: A picture as planes of yuv420p, BT.709 in the range of television: (3 × height ÷ 2, width).
Planes = NDArray[np.uint8]

#: x264: half the time of the next better preset; bits for dark gradients; a picture to jump to every two seconds.
_X264_OPTIONS = {"preset": "veryfast", "crf": "21", "x264-params": "aq-mode=3:keyint=50:min-keyint=1:scenecut=0"}


def to_planes(picture: Image.Image) -> Planes:
    """Return the planes of an RGB picture with even sides."""
    frame = av.VideoFrame.from_ndarray(np.asarray(picture), "rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=ACCURATE_CHROMA,
    )
    return np.asarray(frame.to_ndarray(), np.uint8)


def encode_segment(pictures: Iterable[Planes], path: Path, size: Canvas, rate: int) -> None:
    """Encode pictures as H.264 in an MP4 file, which is there completely or not at all.

    Holds one picture in memory. rate: pictures per second. Raises ArtDreamError if the file cannot be written.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        with av.open(str(draft), "w", format="mp4") as output:
            stream = output.add_stream("libx264", rate=rate, options=_X264_OPTIONS)
            assert isinstance(stream, av.VideoStream)  # noqa: S101  what add_stream returns for this codec
            stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
            context = stream.codec_context
            context.color_range = ColorRange.MPEG
            context.colorspace = context.color_primaries = context.color_trc = BT709
            for planes in pictures:
                frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
                frame.color_range, frame.colorspace = ColorRange.MPEG, Colorspace.ITU709
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        draft.replace(path)
    except OSError as error:  # PyAV's errors of files are among them
        raise ArtDreamError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        draft.unlink(missing_ok=True)


def join_segments(segments: Sequence[Path], path: Path, statement: Statement) -> None:
    """Join segments, in this order, to one MP4 file that starts to play before it is completely loaded.

    Nothing is encoded again. The file is replaced when it is complete. statement: what it says about itself. Raises
    ArtDreamError if it cannot be written, or a segment is damaged, which is removed.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with av.open(str(draft), "w", format="mp4", options={"movflags": "faststart"}) as output:
            output.metadata["comment"] = JPEG_MARKER.decode()
            stream: av.VideoStream | None = None
            begin = Fraction(0)  # seconds
            for segment in segments:
                with _open_segment(segment) as source:
                    template = source.streams.video[0]
                    if stream is None:
                        stream = output.add_stream_from_template(template)
                    begin = _append(source, output, stream, begin)
        append_packet(draft, statement.to_packet())
        draft.replace(path)
    except OSError as error:
        raise ArtDreamError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        draft.unlink(missing_ok=True)


def _append(
    source: av.container.InputContainer, output: av.container.OutputContainer, stream: av.VideoStream, begin: Fraction
) -> Fraction:
    """Copy a segment to the end of a film that is `begin` seconds long; return how long the film is then."""
    template = source.streams.video[0]
    assert template.time_base is not None  # noqa: S101  a stream that was opened has one
    assert template.average_rate is not None  # noqa: S101
    offset, count = round(begin / template.time_base), 0
    for packet in source.demux(template):
        if packet.dts is None or packet.pts is None:  # the end
            continue
        packet.pts, packet.dts, count = packet.pts + offset, packet.dts + offset, count + 1
        packet.stream = stream
        output.mux(packet)
    return begin + count / Fraction(template.average_rate)


def _open_segment(path: Path) -> av.container.InputContainer:
    try:
        return av.open(str(path), "r", format="mp4")
    except av.FFmpegError as error:
        path.unlink(missing_ok=True)
        raise ArtDreamError(f"{path} was damaged, and is removed: run the command again.") from error


def cross_fade(one: Planes, other: Planes, count: int) -> Iterator[Planes]:
    """Yield so many pictures between one and another, without these."""
    for number in range(1, count + 1):
        yield blend(one, other, smootherstep(number / (count + 1)))
