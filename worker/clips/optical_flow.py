"""Optical flow: what moved where between two pictures of a video.

Dense inverse search: T. Kroeger et al., “Fast Optical Flow using Dense Inverse Search” (2016), as OpenCV has it.
"""

from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.dreamer import Pixels

Floats = NDArray[np.float32]

#: Flow forth and back may miss its start by this share of its length, and by this many square pixels (N. Sundaram,
#: T. Brox and K. Keutzer, “Dense Point Trajectories by GPU-Accelerated Large Displacement Optical Flow”, 2010).
MAX_ROUND_TRIP_SHARE, MAX_ROUND_TRIP_SQUARE = 0.01, 0.5

#: Grey levels by which a point may change its brightness from one picture to the next.
MAX_BRIGHTNESS_CHANGE = 40

#: Pixels: the side of a speck that counts as consistent, whatever the flow; how far what is not consistent is widened,
#: and the standard deviation of its soft edge.
SPECK, RIM, EDGE_BLUR = 5, 2, 2.0


class Motion(NamedTuple):
    """How the points of a picture moved since the previous one."""

    #: For each pixel the offset to its place in the previous picture, right and down: (height, width, 2) float32.
    flow: Floats
    #: Whether the pixel is seen in both pictures: (height, width) bool.
    is_consistent: NDArray[np.bool_]
    #: The same with a soft edge: (height, width, 1) float32 in [0, 1].
    weight: Floats

    def carry(self, values: Floats) -> Floats:
        """Move values of the previous picture, (height, width, channels) float32, to where its points are now.

        They are 0 where the picture shows what the previous one did not.
        """
        return self.weight * self.warp(values)

    def warp(self, values: Floats) -> Floats:
        """Return for each pixel the values of the previous picture, (height, width, channels), at its place there."""
        return _sample(values, self.flow, cv2.INTER_CUBIC)


class FlowEstimator:
    """Estimates the motion between pictures of one size."""

    @cached_property
    def _algorithm(self) -> cv2.DISOpticalFlow:
        return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def estimate(self, picture: Pixels, previous: Pixels) -> Motion:
        """Estimate how the points of a picture moved since another: (height, width, 3) uint8 each."""
        now, before = (cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) for pixels in (picture, previous))
        back, forth = self._algorithm.calc(now, before, None), self._algorithm.calc(before, now, None)  # type: ignore[call-overload]
        forth_there = _sample(forth, back, cv2.INTER_LINEAR)
        round_trip = np.square(back + forth_there).sum(axis=-1)
        lengths = np.square(back).sum(axis=-1) + np.square(forth_there).sum(axis=-1)
        brightness_change = np.abs(_sample(before.astype(np.float32), back, cv2.INTER_LINEAR) - now)
        height, width = now.shape
        x, y = (back[..., axis] + grid for axis, grid in enumerate(_make_grid(height, width)))
        is_consistent = (
            (round_trip < MAX_ROUND_TRIP_SHARE * lengths + MAX_ROUND_TRIP_SQUARE)
            & (brightness_change < MAX_BRIGHTNESS_CHANGE)
            & (x >= 0)
            & (x <= width - 1)
            & (y >= 0)
            & (y <= height - 1)
        )
        # Single pixels fail the test by chance.
        closed = cv2.morphologyEx(is_consistent.astype(np.float32), cv2.MORPH_CLOSE, np.ones((SPECK, SPECK), np.uint8))
        rim = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
        weight = np.asarray(cv2.GaussianBlur(cv2.erode(closed, rim), (0, 0), EDGE_BLUR), np.float32)
        return Motion(back, is_consistent, weight[..., None])


def _sample(values: Floats, flow: Floats, interpolation: int) -> Floats:
    """Return the values, (height, width, channels), at each pixel's place plus its offset; reflected at borders."""
    x, y = _make_grid(*flow.shape[:2])
    sampled = cv2.remap(values, x + flow[..., 0], y + flow[..., 1], interpolation, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(sampled, np.float32).reshape(values.shape)


def _make_grid(height: int, width: int) -> tuple[Floats, Floats]:
    """Return the columns, (1, width), and the rows, (height, 1)."""
    return np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
