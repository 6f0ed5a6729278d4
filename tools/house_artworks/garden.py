"""A water garden in broken colour: dabs of green, rose and violet side by side, never blended."""

import numpy as np
from PIL import Image

from tools.house_artworks.canvas import PaintCanvas
from tools.house_artworks.noise import Array, hex_to_rgb, mix, random_field, sample_gradient, smoothstep

WIDTH, HEIGHT, SEED = 768, 576, 12
LEAVES = hex_to_rgb("16351f", "2c5a2a", "4f8440", "86ad4d", "c9cf86", "f3e6bd")
WATER = hex_to_rgb("2a3f6b", "3f5f93", "6a83b8", "8f9fca", "b9b6d8", "e6c9d3")
MIRROR = hex_to_rgb("1f4238", "36664c", "5e8f63", "94b37d", "b9c79a")
PADS = hex_to_rgb("2f6a4a", "5b9a5c", "8fbf78", "bcd79a", "a88fb5")
ROSES = hex_to_rgb("b0305f", "d75a86", "ee93ad", "f9cdd3", "fff3ea")
IRIS = hex_to_rgb("3c2a7a", "6546a8", "8f6fc6", "bda2dd", "e7d8f1")
SUN = hex_to_rgb("e8a13c", "f5cf5e", "fff0b8")
BANK = 0.235  # y of the pond's far edge, as a share of the width


def paint() -> Image.Image:
    """Paint the picture and return it: sRGB, 768 x 576."""
    canvas = PaintCanvas(WIDTH, HEIGHT, hex_to_rgb("8f9a86")[0], SEED)
    angle, color = build_scene(canvas)
    paint_dabs(canvas, angle, color)
    paint_willow(canvas)
    paint_blossoms(canvas)
    for depth in np.sort(canvas.rng.beta(1.1, 0.9, 17)):
        paint_lily_pads(canvas, float(depth))
    return canvas.render(0.11, weave_strength=0.5)


def build_scene(canvas: PaintCanvas) -> tuple[Array, Array]:
    """Return the angles of dabs and the colours under them: shrubs on a bank, and a pond that mirrors them."""
    x, y, rng = canvas.x / canvas.width, canvas.y / canvas.width, canvas.rng
    edge = BANK + 0.014 * np.sin(8 * x + 1) + 0.006 * random_field(rng, (1, canvas.width), 60)
    shrubs = random_field(rng, canvas.shape, 170, 3)
    sunny = smoothstep(0.30, 0.0, np.hypot(1.1 * (x - 0.66), y - 0.05))  # a gap in the trees that lets light through
    bank = sample_gradient(LEAVES, 0.40 + 0.17 * shrubs + 0.48 * sunny - 0.5 * smoothstep(0.05, 0.0, edge - y))
    # The y of the point that the water mirrors.
    mirrored_y = 2 * edge - y + 0.016 * random_field(rng, canvas.shape, (14, 110), 2)
    mirrored_points = np.clip(np.stack([canvas.x, (0.62 * mirrored_y + 0.09) * canvas.width], -1), 0, None)
    brightness = canvas.sample(sunny, mirrored_points) + 0.85 * smoothstep(0.15, 0.48, y + 0.12 * x - 0.04)
    trees = sample_gradient(
        MIRROR, 0.45 + 0.24 * canvas.sample(shrubs, mirrored_points) + 0.5 * canvas.sample(sunny, mirrored_points)
    )
    sky = sample_gradient(
        WATER, 0.40 + 0.16 * random_field(rng, canvas.shape, (60, 240), 3) + 0.5 * smoothstep(0.2, 0.95, x) * brightness
    )
    reeds = smoothstep(-0.2, 0.75, brightness + 0.30 * random_field(rng, canvas.shape, (260, 60), 2) - 0.35)
    pond = mix(trees, sky, reeds)
    water = smoothstep(-0.004, 0.004, y - edge)
    turn = np.where(reeds < 0.4, 1.45, 0.0) + 0.22 * random_field(rng, canvas.shape, 70)
    return np.where(water > 0.5, turn, 0.9 * random_field(rng, canvas.shape, 60, 2)), mix(bank, pond, water)


def paint_dabs(canvas: PaintCanvas, angles: Array, colors: Array) -> None:
    """Paint dabs everywhere, from large to small, each of a purer colour than the scene below it."""
    rng = canvas.rng
    drift = 0.05 * np.stack([random_field(rng, canvas.shape, 60, 2) for _ in range(3)], -1)  # warm here, cool there
    for pitch, width, length, jitter in ((24, 30, 66, 0.03), (15, 18, 40, 0.045), (14, 13, 30, 0.06)):
        starts = canvas.sample_jittered_grid(pitch)
        paths = canvas.trace_paths(angles, starts, length * rng.uniform(0.5, 1.4, len(starts)), 4)
        tints = canvas.sample(colors, starts)
        grey = tints.mean(-1, keepdims=True)
        tints = grey + (tints - grey) * rng.uniform(0.9, 1.6, (len(starts), 1))
        tones = rng.normal(0, jitter, tints.shape) + rng.normal(0, jitter, (len(starts), 1))
        tints = np.clip(tints + tones + canvas.sample(drift, starts), 0.03, 1)
        for path, tint in zip(paths, tints, strict=True):
            canvas.stroke(path, width * rng.uniform(0.7, 1.3), tint, dryness=rng.uniform(0.15, 0.6))


def paint_dab(
    canvas: PaintCanvas, x: float, y: float, half_extent: tuple[float, float], width: float, tint: Array
) -> None:
    """Paint one short dab around (x, y), which extends by half_extent to either side, in pixels of the canvas."""
    path = np.array(
        [
            [x - half_extent[0], y - half_extent[1]],
            [x + 0.1 * half_extent[1], y],
            [x + half_extent[0], y + half_extent[1]],
        ]
    )
    color = np.clip(tint + canvas.rng.normal(0, 0.05, 3) + canvas.rng.normal(0, 0.04), 0, 1).astype(np.float32)
    canvas.stroke(path, width, color, dryness=canvas.rng.uniform(0.05, 0.4), paint_thickness=1.4, taper=0.3)


def paint_willow(canvas: PaintCanvas) -> None:
    """Paint long branches that hang into the picture from above, on the left."""
    rng, size = canvas.rng, canvas.width
    for x in np.concatenate([rng.normal(0.05, 0.05, 50), rng.normal(0.20, 0.035, 34), rng.normal(0.33, 0.02, 16)]):
        length = rng.uniform(0.10, 0.34) * rng.uniform(0.5, 1) * (1.1 - x)
        sway, tone = rng.normal(0.035, 0.02), rng.uniform(0.05, 0.75)
        t = np.linspace(0, 1, 8)
        path = np.stack([x + sway * t**2, length * t - 0.01], -1) * size
        canvas.stroke(path, rng.uniform(4, 8), sample_gradient(LEAVES, tone), dryness=0.35, taper=0.4)
        for t in np.sort(rng.random(int(110 * length))):
            spot = np.array([x + sway * t * t, length * t - 0.01]) * size + rng.normal(0, 4, 2)
            tint = sample_gradient(LEAVES, tone + 0.3 * t + rng.normal(0, 0.12))
            paint_dab(canvas, spot[0], spot[1], (rng.normal(0, 5), rng.uniform(6, 16)), rng.uniform(5, 9), tint)


def paint_blossoms(canvas: PaintCanvas) -> None:
    """Paint clumps of violet, rose and golden blossoms along the bank, and their broken mirror images."""
    rng, size = canvas.rng, canvas.width
    for _ in range(46):
        x, y = rng.uniform(0, 1), BANK - min(rng.gamma(2.0, 0.020), 0.09)
        palette = (IRIS, ROSES, IRIS, ROSES, ROSES, SUN)[rng.integers(6)]
        spread = rng.uniform(0.008, 0.026)
        for _ in range(int(1300 * spread)):
            px, py = x + rng.normal(0, 1.3) * spread, y + rng.normal(0, 0.7) * spread
            tint = sample_gradient(palette, rng.beta(1.5, 1.5) - 9 * (py - y))
            paint_dab(canvas, px * size, py * size, (rng.uniform(1, 5), rng.uniform(-5, 5)), rng.uniform(8, 14), tint)
            if rng.random() < 0.45:
                mirrored_y = 2 * BANK - py + 0.012 + abs(rng.normal(0, 0.02))
                mirrored_tint = mix(tint, WATER[2], 0.35)
                paint_dab(
                    canvas, px * size, mirrored_y * size, (rng.uniform(5, 12), 1), rng.uniform(6, 9), mirrored_tint
                )


def paint_lily_pads(canvas: PaintCanvas, depth: float) -> None:
    """Paint a group of lily pads with their blossoms. depth: 0 at the far bank, 1 at the lower edge."""
    rng, size = canvas.rng, canvas.width
    y, scale = BANK + 0.03 + 0.50 * depth, 0.35 + 0.9 * depth
    x, spread = rng.uniform(0, 1), rng.uniform(0.05, 0.13) * scale
    for _ in range(int(30 * rng.uniform(0.6, 1.2))):
        px, py = x + rng.normal(0, 1) * spread, y + rng.normal(0, 0.16) * spread
        length, tone = rng.uniform(0.014, 0.024) * scale * size, rng.uniform(0.05, 0.7)
        for k in range(7):  # a pad: shadow below, light above, a violet rim
            rise = (k - 3) / 3.2
            half_width = length * np.sqrt(1 - rise * rise * 0.75) * rng.uniform(0.8, 1.05)
            tint = LEAVES[0] if k == 6 else sample_gradient(PADS, tone + 0.10 * (3 - k) + rng.normal(0, 0.10))
            paint_dab(
                canvas,
                px * size,
                py * size + rise * 0.36 * length,
                (half_width, rng.normal(0, 1)),
                0.22 * length + 4,
                tint,
            )
    for _ in range(int(rng.integers(2, 7))):
        px, py = (x + rng.normal(0, 0.8) * spread) * size, (y + rng.normal(0, 0.10) * spread) * size
        palette, petal_length = (ROSES if rng.random() < 0.75 else IRIS), 25 * scale
        for turn in np.linspace(-0.2, np.pi + 0.2, 9):
            dx, dy = np.cos(turn) * petal_length, -np.sin(turn) * petal_length * 0.8
            tint = sample_gradient(palette, 0.35 + 0.5 * np.sin(turn) + rng.normal(0, 0.16))
            paint_dab(canvas, px + 0.5 * dx, py + 0.5 * dy, (0.45 * dx, 0.45 * dy), 10 * scale + 3, tint)
        paint_dab(canvas, px, py, (2, 1), 6 * scale + 3, SUN[0])
