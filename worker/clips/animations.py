"""The animations of a dream: a morph from photo to dream and back, and an endless zoom into the dream."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import Canvas, scale_to_long_side

#: Sharp, and without the ringing that would flicker while a texture slowly changes its scale.
_RESAMPLING = Image.Resampling.BICUBIC


def fit_video_size(height: int, width: int, long_side: int) -> Canvas:
    """Return the size of a video of a height × width picture: not enlarged, at most `long_side`, both sides even.

    The aspect is kept within a pixel. Sides are at least 16 pixels, because players show nothing below that.
    """
    size = scale_to_long_side(width, height, min(long_side, max(height, width)))
    return Canvas(*(max(16, side // 2 * 2) for side in size))


class Morph:
    """A loop that holds the photo, morphs into the dream frame by frame, holds the dream, and morphs back.

    pictures: the photo, the frames and the dream, in this order, at least two; (height, width, 3) uint8 sRGB of one
    size. rate: pictures per second. long_side: limit of the video's long side in pixels. Raises ValueError for fewer
    than two pictures.
    """

    #: Seconds of each phase: photo, into the dream, dream, back to the photo.
    PHASE_SECONDS = (0.7, 2.4, 1.3, 1.6)

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], *, rate: int = 25, long_side: int = 1080) -> None:
        height, width, _ = pictures[0].shape
        self.rate = rate
        self.size = fit_video_size(height, width, long_side)
        self._transition = Transition([_resize(picture, self.size) for picture in pictures])

    def __len__(self) -> int:
        """Return the number of pictures."""
        return round(sum(self.PHASE_SECONDS) * self.rate)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the clip's pictures, (height, width, 3)."""
        for number in range(len(self)):
            yield self._transition.interpolate(self._compute_progress(number / self.rate))

    def _compute_progress(self, seconds: float) -> float:
        """Return the progress from the photo, 0, to the dream, 1."""
        hold_photo, into_dream, hold_dream, back = self.PHASE_SECONDS
        if seconds < hold_photo + into_dream + hold_dream:
            return smootherstep((seconds - hold_photo) / into_dream)
        return 1 - smootherstep((seconds - hold_photo - into_dream - hold_dream) / back)


class Zoom:
    """A loop that zooms into the centre of the dream: the photo nested there grows, becomes its dream and fills it.

    The picture after the last equals the first. pictures, rate, long_side: as for Morph.
    """

    #: Seconds from one dream into the next.
    DURATION_SECONDS = 7.0
    #: Side of the nested photo, as a share of the dream's side.
    NESTED_SIDE_SHARE = 0.16
    #: Width of the nested picture's soft edge, far away and near, as a share of half its short side.
    FEATHER_SHARES = (0.25, 0.5)
    #: Corner radius of the nested picture when it is far away, as a share of half its short side.
    CORNER_RADIUS_SHARE = 0.9
    #: Size of the stored pictures relative to the video, if theirs allows it: enlarged pictures stay sharp.
    SUPERSAMPLING = 1.25
    #: Shares of the zoom between which the nested photo morphs into its dream.
    DREAM_PROGRESS = (0.1, 0.95)
    #: Shares of the zoom between which the next photo fades in at the centre of the nested picture.
    PHOTO_PROGRESS = (0.4, 0.9)

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], *, rate: int = 25, long_side: int = 1080) -> None:
        height, width, _ = pictures[0].shape
        self.rate = rate
        self.size = fit_video_size(height, width, long_side)
        max_long_side = round(self.SUPERSAMPLING * max(self.size))
        self._stored_size = scale_to_long_side(width, height, min(max_long_side, max(width, height)))
        self._transition = Transition([_resize(picture, self._stored_size) for picture in pictures])

    def __len__(self) -> int:
        """Return the number of pictures."""
        return round(self.DURATION_SECONDS * self.rate)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the clip's pictures, (height, width, 3)."""
        for number in range(len(self)):
            yield self._render(number / len(self))

    def _render(self, progress: float) -> NDArray[np.uint8]:
        """Return the picture at a share of the zoom, from 0 to 1. Equal steps enlarge by equal factors."""
        scale = self.NESTED_SIDE_SHARE**-progress
        screen = Image.fromarray(self._transition.interpolate(1)).resize(
            self.size, _RESAMPLING, box=self._compute_crop_box(scale)
        )
        self._paste_centered(
            screen,
            self._transition.interpolate(smootherstep(_rescale(progress, *self.DREAM_PROGRESS))),
            scale * self.NESTED_SIDE_SHARE,
            smootherstep(progress),
            1.0,
        )
        if opacity := smootherstep(_rescale(progress, *self.PHOTO_PROGRESS)):
            self._paste_centered(
                screen, self._transition.interpolate(0), scale * self.NESTED_SIDE_SHARE**2, 0.0, opacity
            )
        return np.asarray(screen)

    def _compute_crop_box(self, scale: float) -> tuple[float, float, float, float]:
        """Return the box of a picture that fills the screen when it is enlarged by a scale of 1 or more.

        The box is (left, upper, right, lower) in pixels of the picture.
        """
        width, height = self._stored_size
        margin = (1 - 1 / scale) / 2
        return margin * width, margin * height, (1 - margin) * width, (1 - margin) * height

    def _paste_centered(
        self, screen: Image.Image, picture: NDArray[np.uint8], scale: float, nearness: float, opacity: float
    ) -> None:
        """Draw a picture in the centre of the screen, with a soft edge.

        scale: side of the picture ÷ side of the screen. nearness: from 0, a round edge inside the picture, to 1, an
        edge outside it, so that nothing changes when the picture becomes the screen. opacity: from 0 to 1.
        """
        # The soft edge outside the picture shows its reflection.
        rim = math.ceil(self.FEATHER_SHARES[1] * min(self._stored_size) / 2) if nearness else 0
        if rim:
            picture = np.pad(picture, ((rim, rim), (rim, rim), (0, 0)), mode="symmetric")
        horizontal = _Span(self._stored_size.width, rim, self.size.width, scale)
        vertical = _Span(self._stored_size.height, rim, self.size.height, scale)
        size = (horizontal.last - horizontal.first, vertical.last - vertical.first)
        if min(size) < 1:
            return
        scaled = Image.fromarray(picture).resize(
            size, _RESAMPLING, box=(horizontal.begin, vertical.begin, horizontal.end, vertical.end)
        )
        mask = self._render_mask(
            horizontal.compute_center_offsets(), vertical.compute_center_offsets(), scale, nearness
        )
        alpha = Image.fromarray((255 * opacity * mask + 0.5).astype(np.uint8))
        screen.paste(scaled, (horizontal.first, vertical.first), alpha)

    def _render_mask(
        self, x: NDArray[np.float32], y: NDArray[np.float32], scale: float, nearness: float
    ) -> NDArray[np.float32]:
        """Return the opacity, (len(y), len(x)) in [0, 1], of a rounded rectangle around the centre.

        x, y: offsets of the pixels from the centre of the screen. The edge follows the signed distance to a rounded box
        (iquilezles.org/articles/distfunctions2d), softened.
        """
        half_width, half_height = scale * self.size.width / 2, scale * self.size.height / 2
        unit = min(half_width, half_height)
        radius = self.CORNER_RADIUS_SHARE * unit * (1 - nearness)
        beyond_x, beyond_y = np.abs(x) - (half_width - radius), np.abs(y)[:, None] - (half_height - radius)
        distance = np.hypot(np.maximum(beyond_x, 0), np.maximum(beyond_y, 0)) - radius
        distance += np.minimum(np.maximum(beyond_x, beyond_y), 0)
        feather = unit * (self.FEATHER_SHARES[0] + nearness * (self.FEATHER_SHARES[1] - self.FEATHER_SHARES[0]))
        inside = np.clip(nearness - distance / feather, 0, 1)
        return np.asarray(inside * inside * (3 - 2 * inside))


class _Span:
    """Extent of a centred picture along one axis of the screen.

    first, last: range of screen pixels, without the last; begin, end: the same borders in pixels of the picture with
    its rim.
    """

    def __init__(self, side: int, rim: int, screen_side: int, scale: float) -> None:
        pixel_side = scale * screen_side / side  # side of a picture pixel, in screen pixels
        half_extent = pixel_side * (side / 2 + rim)
        self.first, self.last = (
            max(0, math.ceil(screen_side / 2 - half_extent)),
            min(screen_side, math.floor(screen_side / 2 + half_extent)),
        )
        self._center = screen_side / 2
        self.begin = max(0.0, (self.first - self._center + half_extent) / pixel_side)
        self.end = min(float(side + 2 * rim), (self.last - self._center + half_extent) / pixel_side)

    def compute_center_offsets(self) -> NDArray[np.float32]:
        """Return the offsets of the pixels' centres from the centre of the screen, in pixels."""
        return np.arange(self.first, self.last, dtype=np.float32) + np.float32(0.5 - self._center)


class Transition:
    """The photo, the frames and the dream as one continuous transition.

    pictures: at least two, uint8 and of one shape: (height, width, 3), or any planes of them.
    """

    def __init__(self, pictures: Sequence[NDArray[np.uint8]]) -> None:
        if len(pictures) < 2:
            raise ValueError(f"A clip goes from a photo to its dream; {len(pictures)} picture cannot be gone through.")
        self._pictures = pictures
        # Early octaves change much, late ones little: equal times show equal changes, not equal numbers of frames.
        coarse = [picture[::3, ::3].astype(np.int16) for picture in self._pictures]
        changes = np.array([np.abs(after - before).mean() for before, after in pairwise(coarse)])
        # A frame that equals the previous one still gets some time.
        changes += max(0.05 * changes.mean(), 1e-6)
        self._positions = np.concatenate([[0.0], np.cumsum(changes) / changes.sum()])

    def interpolate(self, progress: float) -> NDArray[np.uint8]:
        """Return the picture, of their shape, at a progress from the photo, 0, to the dream, 1."""
        position = float(np.interp(progress, self._positions, np.arange(len(self._positions))))
        index = int(position)
        if position == index:
            return self._pictures[index]
        return blend(self._pictures[index], self._pictures[index + 1], position - index)


def _resize(picture: NDArray[np.uint8], size: Canvas) -> NDArray[np.uint8]:
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def blend(one: NDArray[np.uint8], other: NDArray[np.uint8], weight: float) -> NDArray[np.uint8]:
    """Return the picture between one, at a weight of 0, and another of its shape, at 1."""
    share = np.uint16(round(weight * 256))
    # Rounded: Image.blend truncates, which darkens the picture as soon as it begins to change.
    mixed = one * (np.uint16(256) - share) + other * share
    return ((mixed + np.uint16(128)) >> np.uint16(8)).astype(np.uint8)


def smootherstep(fraction: float) -> float:
    """Ease a fraction in and out: 0 below 0, 1 above 1 (Perlin's smootherstep)."""
    fraction = min(max(fraction, 0.0), 1.0)
    return fraction * fraction * fraction * (fraction * (fraction * 6 - 15) + 10)


def _rescale(progress: float, start: float, end: float) -> float:
    return (progress - start) / (end - start)
