"""A canvas that takes brush strokes: colour, and the thickness of the paint, which the light shows at the end.

All positions are (x, y) in pixels of the canvas, which has twice the picture's width and height: `finish` halves it,
so edges come out smooth. Colours are sRGB in 0..1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.house_artworks.noise import Array, gaussian_blur, random_field

STROKE_POINT_SPACING = 0.7  # pixels between the points of a stroke: close enough to leave no holes
BRISTLE_SHEET_SHAPE = (
    1024,
    128,
)  # pixels along and across the sheet of bristle marks that every stroke takes a piece of


class PaintCanvas:
    """Paint of a colour (rows, columns, 3) and a thickness (rows, columns)."""

    def __init__(self, width: int, height: int, ground_color: Array, seed: int) -> None:
        """An empty canvas for a picture of `width` x `height` pixels, primed with a ground colour (3,)."""
        self.width, self.height = 2 * width, 2 * height
        self.shape = (self.height, self.width)
        self.rng = np.random.default_rng(seed)
        self.color: Array = np.broadcast_to(ground_color, (*self.shape, 3)).astype(np.float32)
        self.thickness: Array = np.zeros(self.shape, np.float32)
        self.bristle_pattern = 0.5 + 0.22 * random_field(self.rng, BRISTLE_SHEET_SHAPE, (90, 2.6), 2)
        self.streak_pattern = random_field(self.rng, BRISTLE_SHEET_SHAPE, (160, 7.0), 2)
        rows, columns = np.mgrid[: self.height, : self.width].astype(np.float32)
        self.y, self.x = rows, columns

    def sample_jittered_grid(self, spacing: float) -> Array:
        """Points (n, 2) on a shaken grid over the whole canvas and a little beyond, in random order."""
        x, y = np.meshgrid(
            np.arange(-spacing, self.width + spacing, spacing), np.arange(-spacing, self.height + spacing, spacing)
        )
        points = np.stack([x.ravel(), y.ravel()], -1) + self.rng.uniform(-0.6, 0.6, (x.size, 2)) * spacing
        return points[self.rng.permutation(len(points))].astype(np.float32)

    def sample(self, field: NDArray[Any], points: Array) -> NDArray[Any]:
        """The field's values at points (..., 2); outside, those of the nearest edge."""
        column = np.clip(points[..., 0], 0, self.width - 1).astype(np.int32)
        row = np.clip(points[..., 1], 0, self.height - 1).astype(np.int32)
        return field[row, column]

    def trace_paths(self, angles: Array, starts: Array, lengths: Array, point_count: int = 8) -> Array:
        """Paths (n, joints, 2) of the given lengths that run along a field of angles, through starts (n, 2)."""
        ends = []
        for way in (-0.5, 0.5):
            here, path = starts, [starts]
            heading = self.sample(angles, here)
            for _ in range(point_count // 2):
                stride = (way * lengths / (point_count // 2))[:, None]
                here = here + stride * np.stack([np.cos(heading), np.sin(heading)], -1)
                path.append(here)
                heading = self.sample(angles, here)
            ends.append(path)
        return np.stack(ends[0][:0:-1] + ends[1], 1)

    def stroke(
        self,
        path: Array,
        width: float,
        color: Array,
        *,
        second_color: Array | None = None,
        dryness: float = 0.25,
        paint_thickness: float = 1.0,
        taper: float = 0.0,
        is_pointed: bool = False,
        opacity: float = 1.0,
    ) -> None:
        """Draw a brush along a path (n, 2).

        second: a colour that the brush carries too and leaves in streaks. dry: how early the hairs part (0: never).
        body: how thick the paint stands. taper: how much thinner both ends are. pointed: it runs out to a point.
        """
        legs = np.hypot(*np.diff(path, axis=0).T)
        along = np.concatenate([[0], np.cumsum(legs)])
        length = max(float(along[-1]), 1.0)
        s = np.linspace(0, length, int(length / STROKE_POINT_SPACING) + 3)
        x, y = (np.interp(s, along, path[:, k]).astype(np.float32) for k in (0, 1))
        dx, dy = np.gradient(x), np.gradient(y)
        norm = np.hypot(dx, dy) + 1e-6
        u = (s / length).astype(np.float32)
        near = np.clip(length * np.minimum(u, 1 - u) / min(width / 2, length / 2), 0, 1)
        half = width / 2 * np.sqrt(near * (2 - near)) * (1 - taper * np.abs(2 * u - 1) ** 1.5)
        half = half * (1 - u) ** 0.7 if is_pointed else half
        t = np.linspace(-1, 1, int(width / STROKE_POINT_SPACING) + 3, dtype=np.float32)
        column = (x[:, None] - (dy / norm * half)[:, None] * t).astype(np.int32)
        row = (y[:, None] + (dx / norm * half)[:, None] * t).astype(np.int32)
        first, side = self.rng.integers(BRISTLE_SHEET_SHAPE[0]), self.rng.integers(BRISTLE_SHEET_SHAPE[1])
        lines = (s.astype(np.int32) + first) % BRISTLE_SHEET_SHAPE[0]
        across = ((t * width / 2).astype(np.int32) + side) % BRISTLE_SHEET_SHAPE[1]
        hair = self.bristle_pattern[lines[:, None], across]
        parted = (dryness * (0.35 + u * u))[:, None] + 0.25 * dryness * t**4
        cover = np.clip((hair - parted) * 5 + 0.4, 0, 1) * opacity
        on = (cover > 0) & (column >= 0) & (column < self.width) & (row >= 0) & (row < self.height)
        place, hair, cover = (row * self.width + column)[on], hair[on], cover[on]
        paint = color.astype(np.float32) * (0.82 + 0.36 * hair[:, None])
        if second_color is not None:
            streak = np.clip(0.5 * self.streak_pattern[lines[:, None], across][on], 0, 1)
            paint += (second_color.astype(np.float32) - paint) * streak[:, None]
        flat = self.color.reshape(-1, 3)
        under = flat[place]
        flat[place] = under + cover[:, None] * (paint - under)
        if paint_thickness:
            ridge = (0.5 * t**6 + (0.5 * u**8)[:, None])[on]  # paint is pushed to the rims and the end
            thick = self.thickness.reshape(-1)
            under = thick[place]
            thick[place] = under + cover * (paint_thickness * np.sqrt(width) * (hair + ridge) - 0.75 * under)

    def render(self, light_strength: float = 0.1, weave_strength: float = 0.0) -> Image.Image:
        """The picture, half as wide and high, its paint lit from the upper left; `weave` lets the linen show."""
        high = self.thickness
        if weave_strength:
            thread = np.sin(self.x * 1.05) * np.sin(self.y * 1.05) + 0.5 * random_field(self.rng, self.shape, 3)
            high = high + weave_strength * thread * np.exp(-high / 3)
        high = gaussian_blur(high, 0.8)
        down, across = np.gradient(high)
        slope = light_strength * (0.6 * across + 0.8 * down)
        lit = self.color * (1 - 0.5 * np.tanh(-np.minimum(slope, 0)) + 0.28 * np.tanh(np.maximum(slope, 0)))[..., None]
        lit = lit + 0.10 * np.clip(np.tanh(slope - 0.35), 0, 1)[..., None]
        picture = Image.fromarray((np.clip(lit, 0, 1) * 255 + 0.5).astype(np.uint8))
        return picture.resize((self.width // 2, self.height // 2), Image.Resampling.BICUBIC)
