"""Formats of a clip that guests ask for: a GIF for messengers, and a square video for social media.

Both are made of the clip that is in the store.
"""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.reformatter import Interpolation
from numpy.typing import NDArray
from PIL import Image

from shared.errors import ArtDreamError
from shared.jobs.clip_requests import ClipFormat
from shared.recipe.canvas import Canvas
from worker.clips.animations import fit_video_size
from worker.clips.framing import Box, fit_into, frame_picture
from worker.clips.video_encoder import Animation, encode_mp4

#: Size limit of a GIF in bytes: messengers load it down before they play it.
MAX_GIF_BYTES = 4_000_000

#: (long side in pixels, pictures per second) of a GIF, tried in order until it fits. GIFs count in 1/100 s.
_GIF_SIZES = ((480, 10), (400, 10), (320, 10), (240, 10), (240, 5), (160, 2))

#: A palette has its 256 colors in a picture of this size.
_PALETTE_SIZE = Canvas(16, 16)

#: Side of the square video in pixels.
SQUARE_SIDE = 1080

#: Background that the square's tends to, as of the pages.
_GROUND = (11, 10, 9)

#: Sharp, and rounded instead of truncated: a flat photo keeps its color.
_SCALING = Interpolation.LANCZOS | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

#: A picture: (height, width, 3) uint8 sRGB.
Pixels = NDArray[np.uint8]


class StoredClip:
    """A clip in the store as an animation, decoded again in each iteration.

    rate: pictures per second, if the clip has more. long_side: in pixels, if the clip's is longer. Raises ArtDreamError
    if the clip is damaged.
    """

    def __init__(self, data: bytes, *, rate: int | None = None, long_side: int | None = None) -> None:
        self._data = data
        with self._open() as container:
            stream = container.streams.video[0]
            stream_rate = round(Fraction(stream.average_rate or 1))  # PyAV 19's rationals do not round
            width, height = stream.codec_context.width, stream.codec_context.height
            self.rate = min(rate or stream_rate, stream_rate)
            self._step = stream_rate / self.rate
            self._count = max(1, int(stream.frames / self._step))
        self.size = fit_video_size(height, width, long_side or max(width, height))

    def __len__(self) -> int:
        """Return the number of pictures."""
        return self._count

    def __iter__(self) -> Iterator[Pixels]:
        """Yield the pictures, (height, width, 3)."""
        wanted = {round(number * self._step) for number in range(self._count)}
        width, height = self.size
        with self._open() as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    scaled = frame.reformat(width, height, "rgb24", interpolation=_SCALING, threads=1)
                    yield np.asarray(scaled.to_ndarray(), np.uint8)

    @contextlib.contextmanager
    def _open(self) -> Iterator[av.container.InputContainer]:
        try:
            with av.open(io.BytesIO(self._data), "r", format="mp4") as container:
                yield container
        except (av.FFmpegError, IndexError) as error:  # an IndexError if it has no video
            raise ArtDreamError("The clip in the store is damaged.") from error


class SquareClip:
    """An animation whole in the middle of a square, on a background of its own colors."""

    def __init__(self, animation: Animation) -> None:
        self._animation, self.rate, self.size = animation, animation.rate, Canvas(SQUARE_SIDE, SQUARE_SIDE)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._animation)

    def __iter__(self) -> Iterator[Pixels]:
        """Yield the pictures, (SQUARE_SIDE, SQUARE_SIDE, 3). The background, of the first one, stays the same."""
        place = fit_into(*self._animation.size, Box(0, 0, *self.size))
        frame: Image.Image | None = None
        for pixels in self._animation:
            picture = Image.fromarray(pixels)
            if frame is None:
                frame = frame_picture(picture, self.size, place, _GROUND)
            size = place.right - place.left, place.lower - place.upper
            frame.paste(picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS), place[:2])
            yield np.array(frame)


def encode_clip_format(
    clip_format: ClipFormat, clip: bytes, wrap: Callable[[Animation], Animation] = lambda animation: animation
) -> bytes:
    """Make a format of a clip, an MP4.

    wrap: applied to each animation that is encoded. Raises ArtDreamError if the clip is damaged, or too long.
    """
    if clip_format is ClipFormat.SQUARE:
        return encode_mp4(wrap(SquareClip(StoredClip(clip))))
    for long_side, rate in _GIF_SIZES:
        data = encode_gif(wrap(StoredClip(clip, rate=rate, long_side=long_side)))
        if len(data) <= MAX_GIF_BYTES:
            return data
    raise ArtDreamError(f"The clip could not be made smaller than {MAX_GIF_BYTES / 1e6:g} MB as GIF.")


def encode_gif(animation: Animation) -> bytes:
    """Encode as a GIF that loops forever, with a palette of its own; holds one picture in memory.

    The dithering is ordered: it does not change where the picture does not, and takes fewer bytes than error diffusion.
    """
    palette = _compute_palette(animation)
    graph = Graph()
    pictures, colors = _add_buffer(graph, animation.size, animation.rate), _add_buffer(graph, _PALETTE_SIZE, 1)
    mapping, sink = graph.add("paletteuse", "dither=bayer:bayer_scale=3:diff_mode=rectangle"), graph.add("buffersink")
    pictures.link_to(mapping, 0, 0)
    colors.link_to(mapping, 0, 1)
    mapping.link_to(sink)
    graph.configure()
    colors.push(palette)
    colors.push(None)
    file = io.BytesIO()
    with av.open(file, "w", format="gif", options={"loop": "0"}) as output:
        stream = output.add_stream("gif", rate=animation.rate)
        assert isinstance(stream, av.VideoStream)  # noqa: S101  what add_stream returns for this codec
        stream.width, stream.height, stream.pix_fmt = animation.size.width, animation.size.height, "pal8"
        for frame in itertools.chain(_iter_frames(animation), [None]):
            pictures.push(frame)
            for mapped in _pull_all(sink):
                output.mux(stream.encode(mapped))
        output.mux(stream.encode(None))
    return file.getvalue()


def _compute_palette(animation: Animation) -> av.VideoFrame:
    """Return the colors that serve the pictures of an animation best, above all where they move."""
    graph = Graph()
    pictures, choice = _add_buffer(graph, animation.size, animation.rate), graph.add("palettegen", "stats_mode=diff")
    sink = graph.add("buffersink")
    pictures.link_to(choice)
    choice.link_to(sink)
    graph.configure()
    for frame in _iter_frames(animation):
        pictures.push(frame)
    pictures.push(None)
    (palette,) = _pull_all(sink)
    return palette


def _add_buffer(graph: Graph, size: Canvas, rate: int) -> FilterContext:
    return graph.add_buffer(
        width=size.width, height=size.height, format=av.VideoFormat("bgra"), time_base=Fraction(1, rate)
    )


def _iter_frames(animation: Animation) -> Iterator[av.VideoFrame]:
    for number, picture in enumerate(animation):
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="bgra")
        frame.pts, frame.time_base = number, Fraction(1, animation.rate)
        yield frame


def _pull_all(sink: FilterContext) -> Iterator[av.VideoFrame]:
    """Yield what a filter graph has ready."""
    while True:
        try:
            frame = sink.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(frame, av.VideoFrame)  # noqa: S101  what graphs of pictures yield
        yield frame
