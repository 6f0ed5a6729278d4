"""Clips of a dream, picture by picture: from the photo into the dream and back, and into the dream without end."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import Canvas, scale_to_long_side

#: Sharp, and without the ringing that would pump when a texture slowly changes its scale.
_KERNEL = Image.Resampling.BICUBIC


def even(height: int, width: int, long_side: int) -> Canvas:
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
    PARTS = (0.7, 2.4, 1.3, 1.6)

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], *, rate: int = 25, long_side: int = 1080) -> None:
        height, width, _ = pictures[0].shape
        self.rate = rate
        self.size = even(height, width, long_side)
        self._strip = _Strip(pictures, self.size)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return round(sum(self.PARTS) * self.rate)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the clip's pictures, (height, width, 3)."""
        for number in range(len(self)):
            yield self._strip.at(self._way(number / self.rate))

    def _way(self, seconds: float) -> float:
        """Return how far the dream has come, from 0 to 1."""
        photo, there, dream, back = self.PARTS
        if seconds < photo + there + dream:
            return eased((seconds - photo) / there)
        return 1 - eased((seconds - photo - there - dream) / back)


class Zoom:
    """Into the middle of the dream, where the photo hangs, which comes nearer, dreams, and is the dream: a loop.

    The picture after the last would be the first. pictures: as for Morph.
    """

    #: Seconds from one dream into the next.
    SECONDS = 7.0
    #: Side of the photo that hangs in the dream, as a share of the dream's.
    NESTED = 0.16
    #: Width of the nested picture's soft edge, far away and near, as a share of half its short side.
    FEATHER = (0.25, 0.5)
    #: Radius of its corners when it is far away, in the same measure.
    CORNER = 0.9
    #: How much finer than the video the pictures are kept, where they are: what comes near is not blurred.
    FINER = 1.25
    #: Between these shares of the way the nested photo dreams.
    DREAMS = (0.1, 0.95)
    #: Between these shares of the way the photo appears in its middle.
    APPEARS = (0.4, 0.9)

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], *, rate: int = 25, long_side: int = 1080) -> None:
        height, width, _ = pictures[0].shape
        self.rate = rate
        self.size = even(height, width, long_side)
        finest = round(self.FINER * max(self.size))
        self._strip = _Strip(pictures, scale_to_long_side(width, height, min(finest, max(width, height))))

    def __len__(self) -> int:
        """Return the number of pictures."""
        return round(self.SECONDS * self.rate)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the clip's pictures, (height, width, 3)."""
        for number in range(len(self)):
            yield self._at(number / len(self))

    def _at(self, way: float) -> NDArray[np.uint8]:
        """Return the picture at a share of the way, from 0 to 1. Equal steps enlarge by equal factors."""
        scale = self.NESTED**-way
        screen = Image.fromarray(self._strip.at(1)).resize(self.size, _KERNEL, box=self._window(scale))
        self._hang(screen, self._strip.at(eased(_share(way, *self.DREAMS))), scale * self.NESTED, eased(way), 1.0)
        if opacity := eased(_share(way, *self.APPEARS)):
            self._hang(screen, self._strip.at(0), scale * self.NESTED**2, 0.0, opacity)
        return np.asarray(screen)

    def _window(self, scale: float) -> tuple[float, float, float, float]:
        """Return the part of a picture that fills the screen when it is enlarged by a scale of 1 or more."""
        width, height = self._strip.size
        margin = (1 - 1 / scale) / 2
        return margin * width, margin * height, (1 - margin) * width, (1 - margin) * height

    def _hang(self, screen: Image.Image, picture: NDArray[np.uint8], scale: float, near: float, opacity: float) -> None:
        """Draw a picture in the middle of the screen, with a soft edge.

        scale: its side ÷ the screen's. near: from 0, where the edge lies inside the picture and is round, to 1, where
        the edge lies outside and the picture is whole, so that nothing changes when it becomes the screen.
        """
        # The picture's own reflection is what fades outside its borders.
        rim = math.ceil(self.FEATHER[1] * min(self._strip.size) / 2) if near else 0
        if rim:
            picture = np.pad(picture, ((rim, rim), (rim, rim), (0, 0)), mode="symmetric")
        across = _Span(self._strip.size.width, rim, self.size.width, scale)
        down = _Span(self._strip.size.height, rim, self.size.height, scale)
        size = (across.last - across.first, down.last - down.first)
        if min(size) < 1:
            return
        shown = Image.fromarray(picture).resize(size, _KERNEL, box=(across.begin, down.begin, across.end, down.end))
        mask = self._mask(across.from_middle(), down.from_middle(), scale, near)
        alpha = Image.fromarray((255 * opacity * mask + 0.5).astype(np.uint8))
        screen.paste(shown, (across.first, down.first), alpha)

    def _mask(self, x: NDArray[np.float32], y: NDArray[np.float32], scale: float, near: float) -> NDArray[np.float32]:
        """Return the opacity, (len(y), len(x)) in [0, 1], of a rounded rectangle around the middle.

        Its edge is the signed distance to a rounded box (iquilezles.org/articles/distfunctions2d), softened.
        """
        half_width, half_height = scale * self.size.width / 2, scale * self.size.height / 2
        unit = min(half_width, half_height)
        radius = self.CORNER * unit * (1 - near)
        right, below = np.abs(x) - (half_width - radius), np.abs(y)[:, None] - (half_height - radius)
        distance = np.hypot(np.maximum(right, 0), np.maximum(below, 0)) - radius
        distance += np.minimum(np.maximum(right, below), 0)
        feather = unit * (self.FEATHER[0] + near * (self.FEATHER[1] - self.FEATHER[0]))
        inside = np.clip(near - distance / feather, 0, 1)
        return np.asarray(inside * inside * (3 - 2 * inside))


class _Span:
    """Where one side of a picture, hung in the middle, lies on one side of the screen.

    first, last: pixels of the screen; begin, end: the same borders in pixels of the picture and its rim.
    """

    def __init__(self, side: int, rim: int, screen: int, scale: float) -> None:
        pixel = scale * screen / side  # of the picture, on the screen
        half = pixel * (side / 2 + rim)
        self.first, self.last = max(0, math.ceil(screen / 2 - half)), min(screen, math.floor(screen / 2 + half))
        self._middle = screen / 2
        self.begin = max(0.0, (self.first - self._middle + half) / pixel)
        self.end = min(float(side + 2 * rim), (self.last - self._middle + half) / pixel)

    def from_middle(self) -> NDArray[np.float32]:
        """Return the distances of the pixels' centres from the middle of the screen, in pixels."""
        return np.arange(self.first, self.last, dtype=np.float32) + np.float32(0.5 - self._middle)


class _Strip:
    """The photo, the frames and the dream as one continuous change."""

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], size: Canvas) -> None:
        if len(pictures) < 2:
            raise ValueError(f"A clip goes from a photo to its dream; {len(pictures)} picture cannot be gone through.")
        self.size = size
        self._pictures = [_sized(picture, size) for picture in pictures]
        # Early octaves change much, late ones little: equal times make equal changes, not equal numbers of frames.
        coarse = [picture[::3, ::3].astype(np.int16) for picture in self._pictures]
        changes = np.array([np.abs(after - before).mean() for before, after in pairwise(coarse)])
        # A frame that is like the one before it still has its moment.
        changes += max(0.05 * changes.mean(), 1e-6)
        self._marks = np.concatenate([[0.0], np.cumsum(changes) / changes.sum()])

    def at(self, way: float) -> NDArray[np.uint8]:
        """Return the picture, (height, width, 3), at a share of the way from the photo, 0, to the dream, 1."""
        place = float(np.interp(way, self._marks, np.arange(len(self._marks))))
        before = int(place)
        weight = np.uint16(round((place - before) * 256))
        if not weight:
            return self._pictures[before]
        # Rounded, not cut as Image.blend does, which darkens the picture as soon as it begins to change.
        blend = self._pictures[before] * (np.uint16(256) - weight) + self._pictures[before + 1] * weight
        return ((blend + np.uint16(128)) >> np.uint16(8)).astype(np.uint8)


def _sized(picture: NDArray[np.uint8], size: Canvas) -> NDArray[np.uint8]:
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def eased(share: float) -> float:
    """Return a share of a way, begun and ended gently: 0 below 0, 1 above 1 (Perlin's smootherstep)."""
    share = min(max(share, 0.0), 1.0)
    return share * share * share * (share * (share * 6 - 15) + 10)


def _share(way: float, first: float, last: float) -> float:
    return (way - first) / (last - first)
