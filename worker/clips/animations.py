"""Clips of a dream, picture by picture: from the photo into the dream and back, and into the dream without end."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import Canvas, scale_to_long_side

#: Sharp, and without the ringing that would pump when a texture slowly changes its scale.
_RESAMPLING = Image.Resampling.BICUBIC


def fit_video_size(height: int, width: int, long_side: int) -> Canvas:
    """Return the size of a video of a height × width picture: not enlarged, long_side at most, both sides even.

    The aspect is kept within a pixel. Sides are at least 16, below which players show nothing.
    """
    size = scale_to_long_side(width, height, min(long_side, max(height, width)))
    return Canvas(*(max(16, side // 2 * 2) for side in size))


class Morph:
    """The photo held a moment, its dream emerging frame by frame, the dream held, and the way back: a loop.

    pictures: the photo, the frames and the dream, in their order, two or more, (height, width, 3) of one size.
    """

    #: Seconds: the photo held, into the dream, the dream held, back.
    PHASE_SECONDS = (0.7, 2.4, 1.3, 1.6)

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], *, rate: int = 25, long_side: int = 1080) -> None:
        height, width, _ = pictures[0].shape
        self.rate = rate
        self.size = fit_video_size(height, width, long_side)
        self._transition = _Transition(pictures, self.size)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return round(sum(self.PHASE_SECONDS) * self.rate)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the clip's pictures, (height, width, 3)."""
        for number in range(len(self)):
            yield self._transition.interpolate(self._compute_progress(number / self.rate))

    def _compute_progress(self, seconds: float) -> float:
        """Return how far the dream has come, from 0 to 1."""
        photo, there, dream, back = self.PHASE_SECONDS
        if seconds < photo + there + dream:
            return smootherstep((seconds - photo) / there)
        return 1 - smootherstep((seconds - photo - there - dream) / back)


class Zoom:
    """Into the middle of the dream, where the photo hangs, which comes nearer, dreams, and is the dream: a loop.

    The picture after the last would be the first. pictures: as for Morph.
    """

    #: Seconds from one dream into the next.
    DURATION_SECONDS = 7.0
    #: Side of the photo that hangs in the dream, as a share of the dream's.
    NESTED_SIDE_SHARE = 0.16
    #: Width of the nested picture's soft edge, far away and near, as a share of half its short side.
    FEATHER_SHARES = (0.25, 0.5)
    #: Radius of its corners when it is far away, in the same measure.
    CORNER_RADIUS_SHARE = 0.9
    #: How much finer than the video the pictures are kept, where they are: what comes near is not blurred.
    SUPERSAMPLING = 1.25
    #: Between these shares of the way the nested photo dreams.
    DREAM_PROGRESS = (0.1, 0.95)
    #: Between these shares of the way the photo appears in its middle.
    PHOTO_PROGRESS = (0.4, 0.9)

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], *, rate: int = 25, long_side: int = 1080) -> None:
        height, width, _ = pictures[0].shape
        self.rate = rate
        self.size = fit_video_size(height, width, long_side)
        finest = round(self.SUPERSAMPLING * max(self.size))
        self._transition = _Transition(pictures, scale_to_long_side(width, height, min(finest, max(width, height))))

    def __len__(self) -> int:
        """Return the number of pictures."""
        return round(self.DURATION_SECONDS * self.rate)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the clip's pictures, (height, width, 3)."""
        for number in range(len(self)):
            yield self._render(number / len(self))

    def _render(self, progress: float) -> NDArray[np.uint8]:
        """Return the picture at a share of the way, from 0 to 1. Equal steps enlarge by equal factors."""
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
        """Return the part of a picture that fills the screen when it is enlarged by a scale of 1 or more."""
        width, height = self._transition.size
        margin = (1 - 1 / scale) / 2
        return margin * width, margin * height, (1 - margin) * width, (1 - margin) * height

    def _paste_centered(
        self, screen: Image.Image, picture: NDArray[np.uint8], scale: float, nearness: float, opacity: float
    ) -> None:
        """Draw a picture in the middle of the screen, with a soft edge.

        scale: its side ÷ the screen's. near: from 0, where the edge lies inside the picture and is round, to 1, where
        the edge lies outside and the picture is whole, so that nothing changes when it becomes the screen.
        """
        # The picture's own reflection is what fades outside its borders.
        rim = math.ceil(self.FEATHER_SHARES[1] * min(self._transition.size) / 2) if nearness else 0
        if rim:
            picture = np.pad(picture, ((rim, rim), (rim, rim), (0, 0)), mode="symmetric")
        across = _Span(self._transition.size.width, rim, self.size.width, scale)
        down = _Span(self._transition.size.height, rim, self.size.height, scale)
        size = (across.last - across.first, down.last - down.first)
        if min(size) < 1:
            return
        shown = Image.fromarray(picture).resize(size, _RESAMPLING, box=(across.begin, down.begin, across.end, down.end))
        mask = self._render_mask(across.compute_center_offsets(), down.compute_center_offsets(), scale, nearness)
        alpha = Image.fromarray((255 * opacity * mask + 0.5).astype(np.uint8))
        screen.paste(shown, (across.first, down.first), alpha)

    def _render_mask(
        self, x: NDArray[np.float32], y: NDArray[np.float32], scale: float, nearness: float
    ) -> NDArray[np.float32]:
        """Return the opacity, (len(y), len(x)) in [0, 1], of a rounded rectangle around the middle.

        Its edge is the signed distance to a rounded box (iquilezles.org/articles/distfunctions2d), softened.
        """
        half_width, half_height = scale * self.size.width / 2, scale * self.size.height / 2
        unit = min(half_width, half_height)
        radius = self.CORNER_RADIUS_SHARE * unit * (1 - nearness)
        right, below = np.abs(x) - (half_width - radius), np.abs(y)[:, None] - (half_height - radius)
        distance = np.hypot(np.maximum(right, 0), np.maximum(below, 0)) - radius
        distance += np.minimum(np.maximum(right, below), 0)
        feather = unit * (self.FEATHER_SHARES[0] + nearness * (self.FEATHER_SHARES[1] - self.FEATHER_SHARES[0]))
        inside = np.clip(nearness - distance / feather, 0, 1)
        return np.asarray(inside * inside * (3 - 2 * inside))


class _Span:
    """Where one side of a picture, hung in the middle, lies on one side of the screen.

    first, last: pixels of the screen; begin, end: the same borders in pixels of the picture and its rim.
    """

    def __init__(self, side: int, rim: int, screen_side: int, scale: float) -> None:
        pixel = scale * screen_side / side  # of the picture, on the screen
        half = pixel * (side / 2 + rim)
        self.first, self.last = (
            max(0, math.ceil(screen_side / 2 - half)),
            min(screen_side, math.floor(screen_side / 2 + half)),
        )
        self._center = screen_side / 2
        self.begin = max(0.0, (self.first - self._center + half) / pixel)
        self.end = min(float(side + 2 * rim), (self.last - self._center + half) / pixel)

    def compute_center_offsets(self) -> NDArray[np.float32]:
        """Return the distances of the pixels' centres from the middle of the screen, in pixels."""
        return np.arange(self.first, self.last, dtype=np.float32) + np.float32(0.5 - self._center)


class _Transition:
    """The photo, the frames and the dream as one continuous change."""

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], size: Canvas) -> None:
        if len(pictures) < 2:
            raise ValueError(f"A clip goes from a photo to its dream; {len(pictures)} picture cannot be gone through.")
        self.size = size
        self._pictures = [_resize(picture, size) for picture in pictures]
        # Early octaves change much, late ones little: equal times make equal changes, not equal numbers of frames.
        coarse = [picture[::3, ::3].astype(np.int16) for picture in self._pictures]
        changes = np.array([np.abs(after - before).mean() for before, after in pairwise(coarse)])
        # A frame that is like the one before it still has its moment.
        changes += max(0.05 * changes.mean(), 1e-6)
        self._positions = np.concatenate([[0.0], np.cumsum(changes) / changes.sum()])

    def interpolate(self, progress: float) -> NDArray[np.uint8]:
        """Return the picture, (height, width, 3), at a share of the way from the photo, 0, to the dream, 1."""
        place = float(np.interp(progress, self._positions, np.arange(len(self._positions))))
        before = int(place)
        weight = np.uint16(round((place - before) * 256))
        if not weight:
            return self._pictures[before]
        # Rounded, not cut as Image.blend does, which darkens the picture as soon as it begins to change.
        blend = self._pictures[before] * (np.uint16(256) - weight) + self._pictures[before + 1] * weight
        return ((blend + np.uint16(128)) >> np.uint16(8)).astype(np.uint8)


def _resize(picture: NDArray[np.uint8], size: Canvas) -> NDArray[np.uint8]:
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def smootherstep(fraction: float) -> float:
    """Return a share of a way, begun and ended gently: 0 below 0, 1 above 1 (Perlin's smootherstep)."""
    fraction = min(max(fraction, 0.0), 1.0)
    return fraction * fraction * fraction * (fraction * (fraction * 6 - 15) + 10)


def _rescale(progress: float, start: float, end: float) -> float:
    return (progress - start) / (end - start)
