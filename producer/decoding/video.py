"""Short videos: a key frame, which becomes the photo, and the moving pictures in the size at which they are dreamt.

Needs PyAV, which the extra `video` installs.
"""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageFilter, ImageStat

from producer.decoding.boxes import has_boxes
from producer.decoding.color_metadata import ColorMetadata
from producer.decoding.color_space import BT601_625, BT709, UNSPECIFIED, color_space_from_codes
from producer.decoding.formats import TRUNCATED_CAUSE, DecodedPicture, NotAPicture, Unreadable
from producer.decoding.limits import Limits
from producer.decoding.missing_content import lacks_content
from producer.decoding.tone_mapping import convert_color_space
from shared.jobs.refusal import RefusalCode
from shared.recipe.canvas import scale_to_long_side

if TYPE_CHECKING:
    import av

#: Brands of MP4 and QuickTime files, and the first boxes of QuickTime files that have none.
_VIDEO_BRANDS = {
    b"qt  ",
    b"isom",
    b"iso2",
    b"iso4",
    b"iso5",
    b"iso6",
    b"mp41",
    b"mp42",
    b"avc1",
    b"M4V ",
    b"3gp4",
    b"3gp5",
}
_FIRST_BOXES = {b"moov", b"wide", b"mdat"}

#: Suffix of the video of a Live Photo, which has the name of its picture.
LIVE_PHOTO_SUFFIX = ".mov"

#: Metadata of the video of a Live Photo: an identifier that its picture has, too.
LIVE_PHOTO_KEY = "com.apple.quicktime.content.identifier"

#: Codecs that phones and cameras use; others are refused, so that a file cannot choose among all of FFmpeg's decoders.
CODECS = {"h264", "hevc", "av1", "vp9", "mpeg4", "mjpeg", "prores"}

#: Seconds of the longest video, and by how much a file may exceed them: phones count whole frames.
MAX_SECONDS, TOLERANCE_SECONDS = 10, 0.5

#: Seconds of pictures that may be missing at the end: the sound may last longer.
MAX_MISSING_SECONDS = 1.0

#: PyAV's units of a container's duration, per second.
AV_TIME_BASE = 1_000_000

#: Pictures per second that are kept, and their long side in pixels, that of the default canvas.
RATE, LONG_SIDE = 10, 640

#: Pixels of the largest picture of a video, in megapixels: 4096 × 2304. A decoder holds up to 16 pictures.
MAX_MEGAPIXELS = 9.5

#: Frames per second from which on those that no other depends on are not decoded.
FAST_RATE = 45

#: Share of the duration, at its beginning and its end, in which no key frame is looked for.
MARGIN_SHARE = 0.25

#: x264: the quality of the moving pictures, and the most kilobits per second.
RATE_FACTOR, MAX_KILOBITS = 18, 5000

#: Bytes of the longest moving pictures: x264 may exceed its rate by what it buffers.
MAX_MOTION_BYTES = 2 * MAX_SECONDS * MAX_KILOBITS * 1000 // 8

#: Lines from which on the matrix of a video that names none is BT.709; of smaller ones it is BT.601.
HD_LINES = 720


class DecodedVideo(NamedTuple):
    """What becomes of a video."""

    #: The key frame, upright; of the size of a photo.
    key_frame: DecodedPicture
    #: H.264 in MP4, upright sRGB without sound and metadata: RATE pictures per second, LONG_SIDE at most.
    motion: bytes
    #: Make, model and software of the camera, as far as they are known.
    camera: list[str]
    #: The file's comment; that of a dream's clip is JPEG_MARKER.
    comment: str
    #: Whether it is the video of a Live Photo.
    is_live_photo: bool


def is_video(data: bytes) -> bool:
    """Return whether a file is a video, by its first bytes."""
    if data[4:8] in _FIRST_BOXES:
        return True
    return has_boxes(data) and data[8:12] in _VIDEO_BRANDS


def decode_video(data: bytes, limits: Limits) -> DecodedVideo:
    """Decode a video of at most MAX_SECONDS. Raises NotAPicture for any other: outside the inbox it may be anything."""
    try:
        import av
    except ImportError as error:
        reason = "is a video, and this producer takes photos only: install its extra `video`"
        raise NotAPicture(reason, RefusalCode.VIDEO) from error
    if lacks_content(data):
        raise NotAPicture(f"is damaged: {TRUNCATED_CAUSE}", RefusalCode.INCOMPLETE)
    try:
        with av.open(io.BytesIO(data), "r", format="mp4") as container:
            return _decode(container, limits)
    except Unreadable:
        raise
    except Exception as error:  # Broken files raise any type of exception.
        if isinstance(error, MemoryError) and not isinstance(error, av.FFmpegError):  # FFmpeg's: of absurd sizes.
            raise
        if b"moov" not in data:  # The index, which phones write last.
            raise NotAPicture(f"is damaged: {TRUNCATED_CAUSE}", RefusalCode.INCOMPLETE) from error
        raise NotAPicture("is damaged: its pictures cannot be decoded", RefusalCode.DAMAGED) from error


def _decode(container: "av.container.InputContainer", limits: Limits) -> DecodedVideo:
    if not container.streams.video:
        if container.streams.audio:
            raise NotAPicture("is a sound without pictures", RefusalCode.NO_PICTURE)
        raise NotAPicture(f"is damaged: {TRUNCATED_CAUSE}", RefusalCode.INCOMPLETE)
    stream = container.streams.video[0]
    context = stream.codec_context
    if context.name not in CODECS and context.codec.canonical_name not in CODECS:
        raise NotAPicture("is a video of a kind that cannot be decoded here", RefusalCode.UNSUPPORTED)
    if context.width * context.height > 1_000_000 * min(MAX_MEGAPIXELS, limits.max_megapixels):
        raise NotAPicture("is too large: videos of at most 4K are taken", RefusalCode.TOO_MANY_PIXELS, most=9)
    duration = (container.duration or 0) / AV_TIME_BASE
    _check_duration(duration)
    context.thread_type = "AUTO"
    if (stream.average_rate or 0) >= FAST_RATE:
        context.skip_frame = "NONREF"
    camera = [container.metadata.get(f"com.apple.quicktime.{name}", "") for name in ("make", "model", "software")]
    key_frame: DecodedPicture | None = None
    best_sharpness, seconds = -1.0, 0.0
    encoder: _MotionEncoder | None = None
    for seconds, frame in _sample(container.decode(stream)):
        picture, color = _to_rgb(frame, LONG_SIDE)
        moving = convert_color_space(picture, color.color_space)
        encoder = encoder or _MotionEncoder(*moving.size)
        encoder.add(moving)
        is_in_middle = MARGIN_SHARE * duration <= seconds <= (1 - MARGIN_SHARE) * duration
        sharpness = _measure_sharpness(moving) if is_in_middle or not duration else -0.5
        if sharpness > best_sharpness:
            large, color = _to_rgb(frame, limits.max_side)
            key_frame, best_sharpness = DecodedPicture(large, large.size, color=color), sharpness
    if encoder is None or key_frame is None or seconds < min(duration, MAX_SECONDS) - MAX_MISSING_SECONDS:
        raise NotAPicture(f"is damaged: {TRUNCATED_CAUSE}", RefusalCode.INCOMPLETE)
    metadata = container.metadata
    return DecodedVideo(
        key_frame, encoder.finish(), camera, metadata.get("comment", ""), is_live_photo=LIVE_PHOTO_KEY in metadata
    )


def _check_duration(seconds: float) -> None:
    if seconds > MAX_SECONDS + TOLERANCE_SECONDS:
        raise NotAPicture(
            f"is a video of {seconds:.0f} s: at most {MAX_SECONDS} s are taken", RefusalCode.TOO_LONG, most=MAX_SECONDS
        )


def _sample(frames: "Iterator[av.VideoFrame]") -> "Iterator[tuple[float, av.VideoFrame]]":
    """Yield RATE frames per second with their times, whatever the rate of the file; a lasting one several times."""
    first_time: float | None = None
    count = 0
    for frame in frames:
        if frame.time is None:
            continue
        first_time = frame.time if first_time is None else first_time
        seconds = frame.time - first_time
        _check_duration(seconds)
        while seconds >= count / RATE - 0.25 / RATE and count < MAX_SECONDS * RATE:
            yield count / RATE, frame
            count += 1


def _to_rgb(frame: "av.VideoFrame", long_side: int) -> tuple[Image.Image, ColorMetadata]:
    """Return a frame as upright RGB of at most a long side, in pixels, and what its values mean."""
    from av.video.reformatter import ColorRange, Interpolation

    width, height = frame.width, frame.height
    size = scale_to_long_side(width, height, min(long_side, max(width, height)))
    matrix = frame.colorspace
    if matrix in (0, UNSPECIFIED):
        matrix = BT709 if min(width, height) >= HD_LINES else BT601_625
    rgb = frame.reformat(
        *size,
        format="rgb24",
        src_colorspace=matrix,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.AREA | Interpolation.FULL_CHR_H_INT,
    )
    picture: Image.Image = rgb.to_image()  # type: ignore[no-untyped-call]
    if turns := round((frame.rotation or 0) / 90) % 4:
        picture = picture.transpose(_TURNS[turns])
    color_space = color_space_from_codes(int(frame.color_primaries), int(frame.color_trc))
    return picture, ColorMetadata(color_space=color_space)


#: Transposition by quarter turns, counterclockwise, that bring a frame upright.
_TURNS = {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}


def _measure_sharpness(picture: Image.Image) -> float:
    """Return how much a picture changes from pixel to pixel; motion blur lowers it."""
    return float(ImageStat.Stat(picture.convert("L").filter(ImageFilter.FIND_EDGES)).var[0])


class _MotionEncoder:
    """Encodes the moving pictures."""

    def __init__(self, width: int, height: int) -> None:
        import av

        self._file = io.BytesIO()
        self._output = av.open(self._file, "w", format="mp4")
        options = {
            "preset": "veryfast",
            "crf": f"{RATE_FACTOR}",
            "maxrate": f"{MAX_KILOBITS}k",
            "bufsize": f"{MAX_KILOBITS}k",
        }
        self._stream = self._output.add_stream("libx264", rate=RATE, options=options)
        self._stream.width, self._stream.height = (max(16, side // 2 * 2) for side in (width, height))
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709

    def add(self, picture: Image.Image) -> None:
        """Add a picture at the end."""
        import av
        from av.video.reformatter import ColorRange, Colorspace

        size = (self._stream.width, self._stream.height)
        frame = av.VideoFrame.from_image(picture.crop((0, 0, *size)))  # type: ignore[no-untyped-call]
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        self._output.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        """Return the file."""
        self._output.mux(self._stream.encode(None))
        self._output.close()
        return self._file.getvalue()
