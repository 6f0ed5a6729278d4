"""The video encoder: encodes animations as H.264 in MP4 and as animated WebP, small enough for a phone."""

import io
from collections.abc import Iterator
from typing import Protocol

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from shared.errors import ArtDreamError
from shared.jpeg_marker import JPEG_MARKER
from shared.recipe.canvas import Canvas

#: Size limit of a file in bytes.
MAX_FILE_BYTES = 8_000_000

#: (constant rate factor of x264, share of the size limit that caps its rate), tried in order until the file fits.
_MP4_QUALITIES = ((20, 0.92), (26, 0.7), (34, 0.4), (45, 0.2))

#: Qualities of WebP, tried in order until the file fits.
_WEBP_QUALITIES = (72, 50, 25, 5)

#: ITU-T H.273's number of BT.709, for matrix, primaries and transfer: what players assume for a video without them.
BT709 = 1

#: Chroma from all pixels, rounded instead of truncated: a flat photo keeps its colour.
ACCURATE_CHROMA = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP


class Animation(Protocol):
    """A sequence of pictures. Each iteration yields the same ones."""

    #: Size of every picture; both sides are even, as yuv420p needs them.
    size: Canvas
    #: Pictures per second.
    rate: int

    def __len__(self) -> int:
        """Return the number of pictures."""

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield (height, width, 3) uint8 sRGB pictures one by one."""


def encode_mp4(animation: Animation, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Encode as H.264 (yuv420p, BT.709) in an MP4 that starts to play before it is completely loaded.

    Keeps one picture in memory at a time. max_bytes: size limit of the file. Raises ArtDreamError if the file exceeds
    it even at the lowest quality.
    """
    for rate_factor, size_share in _MP4_QUALITIES:
        # x264's rate buffer holds one second, by which the file may exceed the rate once.
        kilobits = int(size_share * max_bytes * 8 / 1000 / (len(animation) / animation.rate + 1))
        quality = {"crf": f"{rate_factor}", "maxrate": f"{kilobits}k", "bufsize": f"{kilobits}k"}
        # Without reserved space the index of the pictures comes last, and players wait for the whole file.
        index_space = {"moov_size": f"{4096 + 32 * len(animation)}"}
        data = _encode(animation, "mp4", "libx264", index_space, {"preset": "medium", **quality})
        if len(data) <= max_bytes:
            return data
    raise ArtDreamError(f"{_describe(animation)} could not be made smaller than {max_bytes / 1e6:g} MB as MP4.")


def encode_webp(animation: Animation, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Encode as an animated WebP that loops forever; otherwise like `encode_mp4`."""
    for quality in _WEBP_QUALITIES:
        data = _encode(animation, "webp", "libwebp_anim", {"loop": "0"}, {"quality": f"{quality}"})
        if len(data) <= max_bytes:
            return data
    raise ArtDreamError(f"{_describe(animation)} could not be made smaller than {max_bytes / 1e6:g} MB as WebP.")


def _encode(
    animation: Animation, container: str, codec: str, container_options: dict[str, str], options: dict[str, str]
) -> bytes:
    matrix = Colorspace.ITU709 if container == "mp4" else Colorspace.ITU601  # the WebP container supports only BT.601
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=container_options) as output:
        output.metadata["comment"] = JPEG_MARKER.decode()
        stream = output.add_stream(codec, rate=animation.rate, options=options)
        assert isinstance(stream, av.VideoStream)  # noqa: S101  what add_stream returns for these codecs
        stream.width, stream.height, stream.pix_fmt = animation.size.width, animation.size.height, "yuv420p"
        context = stream.codec_context
        context.thread_count = 1  # leaves the other cores to the next dream
        context.color_range = ColorRange.MPEG
        if container == "mp4":
            context.colorspace = context.color_primaries = context.color_trc = BT709
        for picture in animation:
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(
                format="yuv420p",
                dst_colorspace=matrix,
                dst_color_range=ColorRange.MPEG,
                interpolation=ACCURATE_CHROMA,
                threads=1,
            )
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _describe(animation: Animation) -> str:
    return f"A film of {len(animation)} pictures of {animation.size.width} × {animation.size.height}"
