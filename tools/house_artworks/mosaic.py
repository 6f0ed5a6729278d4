"""A gold mosaic: spirals, discs like eyes, and a mantle of black, ivory and coloured rectangles on gold leaf."""

import numpy as np
from PIL import Image

from tools.house_artworks.canvas import PaintCanvas
from tools.house_artworks.mantle import paint_mantle
from tools.house_artworks.noise import gaussian_blur, mix, random_field, sample_gradient, smoothstep
from tools.house_artworks.stones import BLACK, GOLD, IVORY, JEWELS, UMBER, compute_polygon, compute_rectangle, set_stone

WIDTH, HEIGHT, SEED = 600, 768, 9
# Spirals: centre x, y and radius (shares of the width), turns (negative: the other way), start angle in radians.
SPIRALS = (
    (0.27, 0.307, 0.207, 3.3, 1.4),
    (0.7, 0.243, 0.162, -2.9, 2.2),
    (0.515, 0.563, 0.106, 2.4, 4.4),
    (0.1, 0.666, 0.095, -2.3, 5.6),
    (0.91, 0.525, 0.095, 2.3, 2.7),
    (0.475, 0.083, 0.067, -2.0, 0.3),
    (0.935, 0.096, 0.067, 2.0, 3.0),
    (0.05, 0.058, 0.056, 2.0, 1.0),
)
# Discs like eyes: centre x, y and radius, as shares of the width.
EYES = (
    (0.475, 0.301, 0.044),
    (0.3, 0.608, 0.04),
    (0.72, 0.493, 0.042),
    (0.06, 0.474, 0.029),
    (0.86, 0.333, 0.031),
    (0.57, 0.384, 0.026),
)


def paint() -> Image.Image:
    """Paint the picture and return it: sRGB, 600 x 768."""
    canvas = PaintCanvas(WIDTH, HEIGHT, UMBER, SEED)
    paint_background(canvas)
    for spiral in SPIRALS:
        paint_spiral(canvas, *spiral)
    paint_mantle(canvas)
    for x, y, radius in EYES:
        paint_disc(canvas, x, y, radius)
    leaf = random_field(canvas.rng, canvas.shape, 9, 2)
    canvas.color *= (1 + 0.03 * leaf + 0.06 * random_field(canvas.rng, canvas.shape, 220, 2))[..., None]
    canvas.thickness += 0.12 * leaf
    return canvas.render(0.22)


def paint_background(canvas: PaintCanvas) -> None:
    """Paint small gold stones in rings around every spiral, each tilted differently, some bare or coloured."""
    rng, size, pitch = canvas.rng, canvas.width, 24.0
    x, y = canvas.x + 5 * random_field(rng, canvas.shape, 90), canvas.y + 5 * random_field(rng, canvas.shape, 90)
    best, label = np.full(canvas.shape, np.inf, np.float32), np.zeros(canvas.shape, np.int64)
    for k, (cx, cy, radius, _, _) in enumerate(SPIRALS):
        dx, dy = x - cx * size, y - cy * size
        distance = np.hypot(dx, dy)
        ring = np.floor(distance / pitch)
        slot = np.floor((np.arctan2(dy, dx) / (2 * np.pi) + 0.5) * np.round(4.6 * ring + 3) + 0.5 * (ring % 2))
        is_nearest, relative_distance = distance < best * (radius + 0.05), distance / (radius + 0.05)
        label = np.where(is_nearest, 20000 * k + 200 * ring + slot, label).astype(np.int64)
        best = np.where(is_nearest, relative_distance, best)
    random_values = rng.random((5, 200000)).astype(np.float32)
    tone, stone_kind = random_values[0][label], random_values[1][label]
    warm = smoothstep(-0.6, 1.6, random_field(rng, canvas.shape, 150, 2))  # rosy leaf here, pale leaf there
    tint = sample_gradient(GOLD, 0.36 + 0.38 * tone + 0.07 * random_field(rng, canvas.shape, 120, 2))
    tint = mix(tint, tint * np.array([1.06, 0.80, 0.62], np.float32), warm)
    tint = np.where((stone_kind < 0.035)[..., None], UMBER * 1.4, tint)
    tint = np.where((stone_kind > 0.965)[..., None], IVORY * 0.96, tint)
    tint = np.where((stone_kind > 0.985)[..., None], JEWELS[1], tint)
    seam = np.zeros(canvas.shape, np.float32)
    seam[1:] = label[1:] != label[:-1]
    seam[:, 1:] = np.maximum(seam[:, 1:], label[:, 1:] != label[:, :-1])
    gap = gaussian_blur(seam, 1.5) * 3.7
    stone = 1 - smoothstep(0.5, 0.95, gap)
    # Each stone reflects the light in its own way.
    tilt_shading = np.tanh(2 * (random_values[2][label] - 0.5) * random_field(rng, canvas.shape, 24))
    shine = 1 + 0.24 * tilt_shading + 0.28 * (random_values[3][label] - 0.5) + 0.4 * (random_values[4][label] > 0.93)
    canvas.color = mix(canvas.color * 0.8, tint * shine[..., None], stone)
    canvas.thickness = 6 * stone


def paint_spiral(canvas: PaintCanvas, cx: float, cy: float, radius: float, turns: float, start_angle: float) -> None:
    """Paint a spiral band of stones on black, many with a darker one inside, and ivory dots along its outer rim.

    cx, cy, radius: shares of the width. start_angle: radians.
    """
    rng, size = canvas.rng, canvas.width
    t = np.linspace(0.02, 1, 400)
    a = start_angle + 2 * np.pi * turns * (1 - t)
    path = np.stack([cx + radius * t**0.85 * np.cos(a), cy + radius * t**0.85 * np.sin(a)], -1) * size
    half_width = 0.16 * radius / abs(turns) * 3 * size / 2
    canvas.stroke(path, 2 * half_width + 12, BLACK, dryness=0, paint_thickness=0.4)
    distances = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    pitch = 0.9 * half_width + 5
    for k, s in enumerate(np.arange(pitch, distances[-1] - pitch, pitch)):
        i = min(int(np.searchsorted(distances, s)), 398)
        along = (path[i + 1] - path[i]) / np.hypot(*(path[i + 1] - path[i]))
        across = np.array([-along[1], along[0]])
        tint = sample_gradient(GOLD, rng.uniform(0.45, 1.0))
        if k % 7 == 3:
            tint = (IVORY, JEWELS[0], JEWELS[1], BLACK)[rng.integers(4)]
        set_stone(canvas, compute_rectangle(path[i], along, (0.42 * pitch, 0.80 * half_width), rng), tint, 8)
        if k % 7 != 3 and k % 2:
            dark = BLACK if k % 4 == 1 else UMBER * 1.6
            set_stone(canvas, compute_rectangle(path[i], along, (0.16 * pitch, 0.34 * half_width), rng), dark, 9)
        side = path[i] + across * np.sign(turns) * (1.42 * half_width + 8)
        if k % 3 == 0 and radius > 0.07:
            set_stone(canvas, compute_polygon(side, 6.0, 10), IVORY, 7)


def paint_disc(canvas: PaintCanvas, x: float, y: float, radius: float) -> None:
    """Paint a disc like an eye: a black rim, rings of ivory, coloured and gold stones, and a black, shining pupil."""
    rng, center, r = canvas.rng, np.array([x, y]) * canvas.width, radius * canvas.width
    iris = JEWELS[rng.integers(1, 4)]
    set_stone(canvas, compute_polygon(center, r * 1.12, 28), BLACK, 6)
    for ring, half_width, tints in (
        (0.92, 0.13, (IVORY,)),
        (0.66, 0.12, (iris, iris * 1.3)),
        (0.44, 0.09, (GOLD[3], GOLD[4])),
    ):
        count = int(2 * np.pi * ring / half_width / 2.1)
        for k in range(count):
            a = 2 * np.pi * k / count
            outward = np.array([np.cos(a), np.sin(a)])
            tint = BLACK if ring > 0.9 and k % 4 == 0 else tints[k % len(tints)]
            stone = compute_rectangle(
                center + outward * ring * r,
                np.array([-outward[1], outward[0]]),
                (0.90 * half_width * r, half_width * r),
                rng,
            )
            set_stone(canvas, stone, tint, 9)
    set_stone(canvas, compute_polygon(center, 0.27 * r, 18), BLACK, 12)
    set_stone(canvas, compute_polygon(center - 0.09 * r, 0.08 * r, 10), IVORY, 13)
