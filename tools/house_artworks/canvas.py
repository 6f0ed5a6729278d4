"""A canvas for brush strokes: the colour and the thickness of the paint, which is lit in the final picture.

All positions are (x, y) in pixels of the canvas, which has twice the picture's width and height: `PaintCanvas.render`
halves it, so edges are smooth. Colours are sRGB in 0..1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.house_artworks.noise import Array, gaussian_blur, random_field

#: Pixels between the points of a stroke: close enough to leave no holes.
STROKE_POINT_SPACING = 0.7
#: Pixels along and across the pattern of bristle marks; every stroke uses a random piece of it.
BRISTLE_SHEET_SHAPE = (1024, 128)


class PaintCanvas:
    """Paint with a colour (rows, columns, 3) and a thickness (rows, columns)."""

    def __init__(self, width: int, height: int, ground_color: Array, seed: int) -> None:
        """Create an empty canvas.

        width, height: of the picture, in pixels. ground_color: (3,). seed: of all randomness on this canvas.
        """
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
        """Return points (n, 2) on a jittered grid over the canvas and a little beyond, in random order."""
        x, y = np.meshgrid(
            np.arange(-spacing, self.width + spacing, spacing), np.arange(-spacing, self.height + spacing, spacing)
        )
        points = np.stack([x.ravel(), y.ravel()], -1) + self.rng.uniform(-0.6, 0.6, (x.size, 2)) * spacing
        return points[self.rng.permutation(len(points))].astype(np.float32)

    def sample(self, field: NDArray[Any], points: Array) -> NDArray[Any]:
        """Return a field's values at points (..., 2); outside the canvas, those of the nearest edge."""
        column = np.clip(points[..., 0], 0, self.width - 1).astype(np.int32)
        row = np.clip(points[..., 1], 0, self.height - 1).astype(np.int32)
        return field[row, column]

    def trace_paths(self, angles: Array, starts: Array, lengths: Array, point_count: int = 8) -> Array:
        """Return paths (n, points, 2) that follow a field of angles through start points.

        angles: (rows, columns) in radians. starts: (n, 2). lengths: (n,) in pixels. point_count: segments of each path.
        """
        halves = []
        for direction in (-0.5, 0.5):
            position, path = starts, [starts]
            heading = self.sample(angles, position)
            for _ in range(point_count // 2):
                step = (direction * lengths / (point_count // 2))[:, None]
                position = position + step * np.stack([np.cos(heading), np.sin(heading)], -1)
                path.append(position)
                heading = self.sample(angles, position)
            halves.append(path)
        return np.stack(halves[0][:0:-1] + halves[1], 1)

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
        """Draw a brush stroke along a path (n, 2).

        width: of the brush, in pixels. second_color: a second colour on the brush, which appears in streaks. dryness:
        how early the bristles part (0: never). paint_thickness: thickness of the paint (0: none). taper: how much
        thinner both ends are. is_pointed: the stroke ends in a point. opacity: 0..1.
        """
        segment_lengths = np.hypot(*np.diff(path, axis=0).T)
        distances = np.concatenate([[0], np.cumsum(segment_lengths)])
        length = max(float(distances[-1]), 1.0)
        s = np.linspace(0, length, int(length / STROKE_POINT_SPACING) + 3)
        x, y = (np.interp(s, distances, path[:, k]).astype(np.float32) for k in (0, 1))
        dx, dy = np.gradient(x), np.gradient(y)
        norm = np.hypot(dx, dy) + 1e-6
        u = (s / length).astype(np.float32)
        end_falloff = np.clip(length * np.minimum(u, 1 - u) / min(width / 2, length / 2), 0, 1)
        half_width = width / 2 * np.sqrt(end_falloff * (2 - end_falloff)) * (1 - taper * np.abs(2 * u - 1) ** 1.5)
        half_width = half_width * (1 - u) ** 0.7 if is_pointed else half_width
        t = np.linspace(-1, 1, int(width / STROKE_POINT_SPACING) + 3, dtype=np.float32)
        column = (x[:, None] - (dy / norm * half_width)[:, None] * t).astype(np.int32)
        row = (y[:, None] + (dx / norm * half_width)[:, None] * t).astype(np.int32)
        row_offset, column_offset = self.rng.integers(BRISTLE_SHEET_SHAPE[0]), self.rng.integers(BRISTLE_SHEET_SHAPE[1])
        rows = (s.astype(np.int32) + row_offset) % BRISTLE_SHEET_SHAPE[0]
        columns = ((t * width / 2).astype(np.int32) + column_offset) % BRISTLE_SHEET_SHAPE[1]
        bristles = self.bristle_pattern[rows[:, None], columns]
        gaps = (dryness * (0.35 + u * u))[:, None] + 0.25 * dryness * t**4
        coverage = np.clip((bristles - gaps) * 5 + 0.4, 0, 1) * opacity
        visible = (coverage > 0) & (column >= 0) & (column < self.width) & (row >= 0) & (row < self.height)
        pixels, bristles, coverage = (row * self.width + column)[visible], bristles[visible], coverage[visible]
        paint = color.astype(np.float32) * (0.82 + 0.36 * bristles[:, None])
        if second_color is not None:
            streak = np.clip(0.5 * self.streak_pattern[rows[:, None], columns][visible], 0, 1)
            paint += (second_color.astype(np.float32) - paint) * streak[:, None]
        flat_color = self.color.reshape(-1, 3)
        below = flat_color[pixels]
        flat_color[pixels] = below + coverage[:, None] * (paint - below)
        if paint_thickness:
            ridge = (0.5 * t**6 + (0.5 * u**8)[:, None])[visible]  # paint is pushed to the rims and the end
            flat_thickness = self.thickness.reshape(-1)
            below = flat_thickness[pixels]
            flat_thickness[pixels] = below + coverage * (
                paint_thickness * np.sqrt(width) * (bristles + ridge) - 0.75 * below
            )

    def render(self, light_strength: float = 0.1, weave_strength: float = 0.0) -> Image.Image:
        """Return the picture, of half the canvas's width and height, with its paint lit from the upper left.

        light_strength: depth of the relief. weave_strength: visibility of the linen (0: none).
        """
        relief = self.thickness
        if weave_strength:
            thread = np.sin(self.x * 1.05) * np.sin(self.y * 1.05) + 0.5 * random_field(self.rng, self.shape, 3)
            relief = relief + weave_strength * thread * np.exp(-relief / 3)
        relief = gaussian_blur(relief, 0.8)
        slope_y, slope_x = np.gradient(relief)
        slope = light_strength * (0.6 * slope_x + 0.8 * slope_y)
        lit = self.color * (1 - 0.5 * np.tanh(-np.minimum(slope, 0)) + 0.28 * np.tanh(np.maximum(slope, 0)))[..., None]
        lit = lit + 0.10 * np.clip(np.tanh(slope - 0.35), 0, 1)[..., None]
        picture = Image.fromarray((np.clip(lit, 0, 1) * 255 + 0.5).astype(np.uint8))
        return picture.resize((self.width // 2, self.height // 2), Image.Resampling.BICUBIC)
