"""A water garden in broken colour: dabs of green, rose and violet, laid side by side and never blended."""

import numpy as np
from PIL import Image

from tools.house_artworks.canvas import Canvas
from tools.house_artworks.noise import Array, clouds, mix, ramp, rgb, step

WIDTH, HEIGHT, SEED = 768, 576, 12
LEAVES = rgb("16351f", "2c5a2a", "4f8440", "86ad4d", "c9cf86", "f3e6bd")
WATER = rgb("2a3f6b", "3f5f93", "6a83b8", "8f9fca", "b9b6d8", "e6c9d3")
MIRROR = rgb("1f4238", "36664c", "5e8f63", "94b37d", "b9c79a")
PADS = rgb("2f6a4a", "5b9a5c", "8fbf78", "bcd79a", "a88fb5")
ROSES = rgb("b0305f", "d75a86", "ee93ad", "f9cdd3", "fff3ea")
IRIS = rgb("3c2a7a", "6546a8", "8f6fc6", "bda2dd", "e7d8f1")
SUN = rgb("e8a13c", "f5cf5e", "fff0b8")
BANK = 0.235  # where the pond begins, as a share of the width


def paint() -> Image.Image:
    """The finished picture: sRGB, 768 x 576."""
    canvas = Canvas(WIDTH, HEIGHT, rgb("8f9a86")[0], SEED)
    angle, colour = scene(canvas)
    cover(canvas, angle, colour)
    willow(canvas)
    flowers(canvas)
    for depth in np.sort(canvas.rng.beta(1.1, 0.9, 17)):
        island(canvas, float(depth))
    return canvas.finish(0.11, weave=0.5)


def scene(canvas: Canvas) -> tuple[Array, Array]:
    """Where dabs point, and the colours under them: a bank of shrubs above a pond that mirrors bank and sky."""
    x, y, rng = canvas.x / canvas.width, canvas.y / canvas.width, canvas.rng
    edge = BANK + 0.014 * np.sin(8 * x + 1) + 0.006 * clouds(rng, (1, canvas.width), 60)
    shrubs = clouds(rng, canvas.shape, 170, 3)
    sunny = step(0.30, 0.0, np.hypot(1.1 * (x - 0.66), y - 0.05))  # a gap in the trees, where light falls through
    bank = ramp(LEAVES, 0.40 + 0.17 * shrubs + 0.48 * sunny - 0.5 * step(0.05, 0.0, edge - y))
    image = 2 * edge - y + 0.016 * clouds(rng, canvas.shape, (14, 110), 2)  # what the water mirrors at this point
    far = np.clip(np.stack([canvas.x, (0.62 * image + 0.09) * canvas.width], -1), 0, None)
    shine = canvas.at(sunny, far) + 0.85 * step(0.15, 0.48, y + 0.12 * x - 0.04)
    trees = ramp(MIRROR, 0.45 + 0.24 * canvas.at(shrubs, far) + 0.5 * canvas.at(sunny, far))
    sky = ramp(WATER, 0.40 + 0.16 * clouds(rng, canvas.shape, (60, 240), 3) + 0.5 * step(0.2, 0.95, x) * shine)
    reeds = step(-0.2, 0.75, shine + 0.30 * clouds(rng, canvas.shape, (260, 60), 2) - 0.35)
    pond = mix(trees, sky, reeds)
    water = step(-0.004, 0.004, y - edge)
    turn = np.where(reeds < 0.4, 1.45, 0.0) + 0.22 * clouds(rng, canvas.shape, 70)
    return np.where(water > 0.5, turn, 0.9 * clouds(rng, canvas.shape, 60, 2)), mix(bank, pond, water)


def cover(canvas: Canvas, angle: Array, colour: Array) -> None:
    """Lay dabs everywhere, large to small; each leans to a purer colour than the one it stands for."""
    rng = canvas.rng
    drift = 0.05 * np.stack([clouds(rng, canvas.shape, 60, 2) for _ in range(3)], -1)  # warm here, cool there
    for pitch, width, length, jitter in ((24, 30, 66, 0.03), (15, 18, 40, 0.045), (14, 13, 30, 0.06)):
        starts = canvas.spots(pitch)
        paths = canvas.follow(angle, starts, length * rng.uniform(0.5, 1.4, len(starts)), 4)
        tints = canvas.at(colour, starts)
        grey = tints.mean(-1, keepdims=True)
        tints = grey + (tints - grey) * rng.uniform(0.9, 1.6, (len(starts), 1))
        tones = rng.normal(0, jitter, tints.shape) + rng.normal(0, jitter, (len(starts), 1))
        tints = np.clip(tints + tones + canvas.at(drift, starts), 0.03, 1)
        for path, tint in zip(paths, tints, strict=True):
            canvas.stroke(path, width * rng.uniform(0.7, 1.3), tint, dry=rng.uniform(0.15, 0.6))


def dab(canvas: Canvas, x: float, y: float, reach: tuple[float, float], width: float, tint: Array) -> None:
    """One short dab around (x, y), reaching `reach` to either side, in pixels of the canvas."""
    path = np.array([[x - reach[0], y - reach[1]], [x + 0.1 * reach[1], y], [x + reach[0], y + reach[1]]])
    fresh = np.clip(tint + canvas.rng.normal(0, 0.05, 3) + canvas.rng.normal(0, 0.04), 0, 1).astype(np.float32)
    canvas.stroke(path, width, fresh, dry=canvas.rng.uniform(0.05, 0.4), body=1.4, taper=0.3)


def willow(canvas: Canvas) -> None:
    """Long branches that hang into the picture from above, on the left."""
    rng, size = canvas.rng, canvas.width
    for x in np.concatenate([rng.normal(0.05, 0.05, 50), rng.normal(0.20, 0.035, 34), rng.normal(0.33, 0.02, 16)]):
        long = rng.uniform(0.10, 0.34) * rng.uniform(0.5, 1) * (1.1 - x)
        sway, tone = rng.normal(0.035, 0.02), rng.uniform(0.05, 0.75)
        t = np.linspace(0, 1, 8)
        path = np.stack([x + sway * t**2, long * t - 0.01], -1) * size
        canvas.stroke(path, rng.uniform(4, 8), ramp(LEAVES, tone), dry=0.35, taper=0.4)
        for t in np.sort(rng.random(int(110 * long))):
            spot = np.array([x + sway * t * t, long * t - 0.01]) * size + rng.normal(0, 4, 2)
            tint = ramp(LEAVES, tone + 0.3 * t + rng.normal(0, 0.12))
            dab(canvas, spot[0], spot[1], (rng.normal(0, 5), rng.uniform(6, 16)), rng.uniform(5, 9), tint)


def flowers(canvas: Canvas) -> None:
    """Clumps of blossom along the bank, violet, rose and gold, and their broken mirror images."""
    rng, size = canvas.rng, canvas.width
    for _ in range(46):
        x, y = rng.uniform(0, 1), BANK - min(rng.gamma(2.0, 0.020), 0.09)
        kind = (IRIS, ROSES, IRIS, ROSES, ROSES, SUN)[rng.integers(6)]
        spread = rng.uniform(0.008, 0.026)
        for _ in range(int(1300 * spread)):
            px, py = x + rng.normal(0, 1.3) * spread, y + rng.normal(0, 0.7) * spread
            tint = ramp(kind, rng.beta(1.5, 1.5) - 9 * (py - y))
            dab(canvas, px * size, py * size, (rng.uniform(1, 5), rng.uniform(-5, 5)), rng.uniform(8, 14), tint)
            if rng.random() < 0.45:
                down = 2 * BANK - py + 0.012 + abs(rng.normal(0, 0.02))
                dull = mix(tint, WATER[2], 0.35)
                dab(canvas, px * size, down * size, (rng.uniform(5, 12), 1), rng.uniform(6, 9), dull)


def island(canvas: Canvas, depth: float) -> None:
    """A raft of lily pads with their blossoms; depth 0 is by the far bank, 1 at the lower edge."""
    rng, size = canvas.rng, canvas.width
    y, near = BANK + 0.03 + 0.50 * depth, 0.35 + 0.9 * depth
    x, wide = rng.uniform(0, 1), rng.uniform(0.05, 0.13) * near
    for _ in range(int(30 * rng.uniform(0.6, 1.2))):
        px, py = x + rng.normal(0, 1) * wide, y + rng.normal(0, 0.16) * wide
        long, tone = rng.uniform(0.014, 0.024) * near * size, rng.uniform(0.05, 0.7)
        for k in range(7):  # a pad: shadow below, light above, a violet rim
            rise = (k - 3) / 3.2
            half = long * np.sqrt(1 - rise * rise * 0.75) * rng.uniform(0.8, 1.05)
            tint = LEAVES[0] if k == 6 else ramp(PADS, tone + 0.10 * (3 - k) + rng.normal(0, 0.10))
            dab(canvas, px * size, py * size + rise * 0.36 * long, (half, rng.normal(0, 1)), 0.22 * long + 4, tint)
    for _ in range(int(rng.integers(2, 7))):
        px, py = (x + rng.normal(0, 0.8) * wide) * size, (y + rng.normal(0, 0.10) * wide) * size
        kind, reach = (ROSES if rng.random() < 0.75 else IRIS), 25 * near
        for turn in np.linspace(-0.2, np.pi + 0.2, 9):
            dx, dy = np.cos(turn) * reach, -np.sin(turn) * reach * 0.8
            tint = ramp(kind, 0.35 + 0.5 * np.sin(turn) + rng.normal(0, 0.16))
            dab(canvas, px + 0.5 * dx, py + 0.5 * dy, (0.45 * dx, 0.45 * dy), 10 * near + 3, tint)
        dab(canvas, px, py, (2, 1), 6 * near + 3, SUN[0])
