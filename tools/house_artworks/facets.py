"""A still life in facets: overlapping, translucent planes of ochre, umber and grey-blue with dark contours."""

import numpy as np
from PIL import Image

from tools.house_artworks.canvas import PaintCanvas
from tools.house_artworks.noise import Array, hex_to_rgb, mix, sample_gradient
from tools.house_artworks.still_life import FACET_COLORS, INK, PAPER, draw_guitar, draw_objects

WIDTH, HEIGHT, SEED = 592, 768, 11


def paint() -> Image.Image:
    """Paint the picture and return it: sRGB, 592 x 768."""
    canvas = PaintCanvas(WIDTH, HEIGHT, hex_to_rgb("9a7f56")[0], SEED)
    rng, size = canvas.rng, canvas.width
    for pitch, width in ((44, 70),):  # an underpainting that is darker at the corners
        for spot in canvas.sample_jittered_grid(pitch):
            distance = float(np.hypot(spot[0] / size - 0.5, spot[1] / size - 0.62))
            tint = sample_gradient(FACET_COLORS[[3, 0, 5, 10, 4, 8]], 1.15 * distance + rng.normal(0, 0.13))
            turn = rng.choice([0.35, 1.9, 1.2]) + rng.normal(0, 0.2)
            half_stroke = np.array([np.cos(turn), np.sin(turn)]) * pitch * 1.3
            canvas.stroke(np.array([spot - half_stroke, spot + half_stroke]), width, tint, dryness=0.3)
    for scale, count in ((0.30, 26), (0.19, 60), (0.12, 84), (0.065, 30)):
        if scale < 0.1:
            draw_guitar(canvas)
        for _ in range(count):
            spread = np.array([0.23, 0.33]) if scale < 0.25 else np.array([0.30, 0.40])
            center = np.array([0.5, 0.62]) + rng.normal(0, 1, 2) * spread
            paint_facet(canvas, random_corners(rng, center, scale * rng.uniform(0.7, 1.3)) * size)
    draw_objects(canvas)
    canvas.color = np.clip(0.48 + 1.16 * (canvas.color - 0.45), 0.02, 1)
    return canvas.render(0.16, weave_strength=0.7)


def random_corners(rng: np.random.Generator, center: Array, size: float) -> Array:
    """Return the corners (n, 2) of a slanted, uneven quadrangle or triangle around a point.

    Most sides follow a few common directions.
    """
    turn = rng.choice([0.42, 1.15, -0.55, 1.57]) + rng.normal(0, 0.07)
    along = np.array([np.cos(turn), np.sin(turn)]) * size * rng.uniform(0.9, 1.8)
    across = np.array([-np.sin(turn), np.cos(turn)]) * size * rng.uniform(0.35, 0.8)
    lean = rng.uniform(-0.6, 0.6, 4)
    shape = [(-1 + lean[0], -1), (1 + lean[1], -1), (1 + lean[2], 1), (-1 + lean[3], 1)]
    if rng.random() < 0.3:
        shape.pop(int(rng.integers(4)))
    return np.array([center + a * along + b * across for a, b in shape])


def intersect_polygon(polygon: Array, point: Array, direction: Array) -> tuple[float, float]:
    """Return the two t at which the line `point + t * direction` enters and leaves a convex polygon (n, 2).

    They are equal if the line misses it.
    """
    ends = np.roll(polygon, -1, axis=0)
    sides = ends - polygon
    slant = direction[0] * sides[:, 1] - direction[1] * sides[:, 0]
    slant = np.where(np.abs(slant) < 1e-3, 1e-3, slant)  # a side parallel to the line has no relevant intersection
    gap = polygon - point
    line_t = (gap[:, 0] * sides[:, 1] - gap[:, 1] * sides[:, 0]) / slant
    side_t = (gap[:, 0] * direction[1] - gap[:, 1] * direction[0]) / slant
    crossings = line_t[(side_t >= 0) & (side_t < 1)]
    return (float(crossings.min()), float(crossings.max())) if len(crossings) > 1 else (0.0, 0.0)


def paint_facet(canvas: PaintCanvas, polygon: Array) -> None:
    """Paint one facet, hatched in one direction: solid at one side, fading to what is below it at the other."""
    rng = canvas.rng
    origin, end = polygon[0], polygon[1]
    direction = (end - origin) / np.hypot(*(end - origin))
    across = np.array([-direction[1], direction[0]])
    depths = (polygon - origin) @ across
    low, high = depths.min(), depths.max()
    tint, fade = FACET_COLORS[rng.integers(len(FACET_COLORS))], FACET_COLORS[rng.integers(len(FACET_COLORS))]
    distance = np.hypot(*((polygon.mean(0) / canvas.width - [0.5, 0.60]) / [1.0, 1.2]))
    tint = np.clip(tint * (1.22 - 0.75 * distance) + rng.normal(0, 0.03), 0, 1).astype(np.float32)
    brush = float(np.clip(0.17 * (high - low), 13, 32))
    flip = rng.random() < 0.5
    kind, shade = rng.random(), rng.choice([0.42, 0.6, 1.2, 1.5])  # dark or light at its solid side
    for d in np.arange(low + 0.4 * brush, high, 0.68 * brush):
        share = (d - low) / (high - low)
        strength = share if flip else 1 - share
        start, stop = intersect_polygon(polygon, origin + across * d, direction)
        t = start
        while t < stop - 2:
            length = min(rng.uniform(3, 8) * brush, stop - t)
            path = np.array([origin + across * d + direction * t, origin + across * d + direction * (t + length)])
            color = mix(fade, tint, strength) * (0.95 + (shade - 0.95) * strength**1.5) + rng.normal(0, 0.022, 3)
            canvas.stroke(path, brush, color, dryness=0.15, second_color=fade, opacity=0.25 + 0.7 * strength)
            t += 0.8 * length
    if kind < 0.10:
        paint_wood_grain(canvas, polygon, direction, across, (low, high))
    elif kind < 0.20:
        light = mix(tint, PAPER, 0.65)
        for d in np.arange(low + 8, high - 4, 14.0):  # an area of short, brick-like strokes
            start, stop = intersect_polygon(polygon, origin + across * d, direction)
            for t in np.arange(start + rng.uniform(4, 20), stop - 8, 21.0):
                spot = origin + across * (d + rng.normal(0, 1)) + direction * t
                color = light if rng.random() < 0.8 else FACET_COLORS[8]
                canvas.stroke(
                    np.array([spot - 6 * direction, spot + 6 * direction]), 10, color, dryness=0.3, opacity=0.85
                )
    paint_contour(canvas, polygon)


def paint_wood_grain(
    canvas: PaintCanvas, polygon: Array, direction: Array, across: Array, depth_range: tuple[float, float]
) -> None:
    """Paint wood grain on a plane: wavering dark lines along it."""
    rng, phase = canvas.rng, canvas.rng.uniform(0, 6)
    for d in np.arange(depth_range[0], depth_range[1], 9.0):
        start, stop = intersect_polygon(polygon, polygon[0] + across * d, direction)
        if stop - start > 20:
            t = np.linspace(start, stop, 14)[:, None]
            sway = 5 * np.sin(t / 46 + phase + 0.4 * np.sin(d / 17))
            line = polygon[0] + across * d + direction * t + across * sway
            canvas.stroke(line, rng.uniform(2.5, 5.5), FACET_COLORS[8], dryness=0.45, opacity=0.8, paint_thickness=0.4)


def paint_contour(canvas: PaintCanvas, polygon: Array) -> None:
    """Draw some sides of a facet in dark paint, thicker at one end, with a light edge on the inside."""
    rng, center = canvas.rng, polygon.mean(0)
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if rng.random() < 0.62:
            run = b - a
            line = np.array([a - 0.03 * run, a + 0.5 * run + rng.normal(0, 1.5, 2), b + rng.uniform(-0.1, 0.08) * run])
            canvas.stroke(
                line, rng.uniform(4.5, 9), INK, second_color=FACET_COLORS[8], dryness=rng.uniform(0.2, 0.5), taper=0.5
            )
            if rng.random() < 0.5:
                inward = 9 * (center - (a + b) / 2) / (np.hypot(*(center - (a + b) / 2)) + 1e-6)
                canvas.stroke(line[:2] + inward, 7, PAPER, dryness=0.5, taper=0.3, opacity=0.75)
