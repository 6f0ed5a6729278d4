"""All that is near: the water, the stones in and beside it, and the meadow at the photographer's feet."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tools.sample_photo.distance import to_linear_light
from tools.sample_photo.field import (
    COLUMN_SLOPES,
    EYE_HEIGHT,
    FOCAL_LENGTH,
    HEIGHT,
    HORIZON_ROW,
    LATTICE,
    NEAR_DEPTHS,
    ROW_SLOPES,
    SKYLIGHT,
    SUN_DIRECTION,
    SUNLIGHT,
    WIDTH,
    Array,
    compute_normals,
    fractal_noise,
    gaussian_blur,
    gradient_noise,
    mix,
    sample_bilinear,
    sample_columns,
    smoothstep,
    trace_ground,
)


def paint_meadow(image: Array) -> Array:
    """The image with grass and flowers in its lower corners, a little out of focus."""
    rng = np.random.default_rng(5)
    picture = Image.new("RGBA", (WIDTH * 2, HEIGHT * 2), (60, 70, 20, 0))
    draw = ImageDraw.Draw(picture)
    hues = ((200, 190, 70), (150, 172, 62), (228, 196, 110))
    for n in range(2600):
        side = n % 2
        offset = rng.exponential(190 if side else 250)
        x = 2 * (WIDTH + 20 - offset if side else offset - 20)
        tall = 2 * rng.uniform(90, 330 if side else 400) * np.exp(-offset / (420 if side else 520))
        lean = rng.normal(0.16, 0.28) * tall
        light = rng.uniform(0.35, 1.0) * (0.45 + 0.55 * n / 2600)
        root = HEIGHT * 2 + 30
        points = [(x + lean * t**2.2, root - tall * (t - 0.12 * t**3)) for t in np.linspace(0, 1, 12)]
        for k in range(11):
            glow = light * (0.35 + 0.75 * k / 11)
            colour = tuple(int(np.clip(c * glow, 0, 255)) for c in hues[n % 7 % 3])
            draw.line(points[k : k + 2], (*colour, 255), max(int(9 * (1 - k / 11)), 2))
        if n % 29 == 7 and tall > 240:
            (cx, cy), size = points[-1], rng.uniform(20, 34)
            petals, hue = 13, (250, 244, 236) if rng.random() < 0.6 else (176, 122, 214)
            for k in range(petals):
                turn = 2 * np.pi * k / petals + rng.normal(0, 0.06)
                px, py = cx + size * np.cos(turn), cy + 0.62 * size * np.sin(turn)
                shade = 0.72 + 0.28 * (px < cx) + rng.uniform(-0.06, 0)
                draw.line([(cx, cy), (px, py)], (*(int(c * shade) for c in hue), 255), int(size * 0.34))
            draw.ellipse([cx - 9, cy - 8, cx + 9, cy + 5], (232, 170, 40, 255))
    layer = np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX))
    cover = layer[..., 3:].astype(np.float32) / 255
    soft = gaussian_blur(np.concatenate([to_linear_light(Image.fromarray(layer[..., :3])) * cover, cover], -1), 1.6)
    return image * (1 - soft[..., 3:]) + soft[..., :3] * np.array([1.5, 1.25, 0.95], np.float32)


def compute_stones(x: Array, z: Array, size: float, density: float) -> tuple[Array, Array]:
    """Rounded stones, one or none in each cell of `size` metres: their height in metres and a random tint 0..1."""
    x, z = x / size + 7 * size + 4.6, z / size + 0.35
    height, tint = np.zeros(x.shape, np.float32), np.full(x.shape, 0.5, np.float32)
    for a in (0, 1):
        for b in (0, 1):
            i, k = np.floor(x - 0.5).astype(np.int32) + a, np.floor(z - 0.5).astype(np.int32) + b
            r0, r1, r2, r3 = np.moveaxis(LATTICE[i & 255, k & 255], -1, 0)
            dx, dz = x - i - 0.3 - 0.4 * r0, z - k - 0.3 - 0.4 * r1
            turn = r2 * 6.283
            dx, dz = dx * np.cos(turn) + dz * np.sin(turn), dz * np.cos(turn) - dx * np.sin(turn)
            radius = 0.26 + 0.24 * ((r0 + r2 * 7) % 1)
            far = np.abs(dx / radius) ** 2.4 + np.abs(dz / (radius * (0.6 + 0.4 * r1))) ** 2.4
            dome = np.clip(1 - far, 0, 1) ** 0.42 * radius * (0.55 + 0.5 * r3) * ((r3 * 13) % 1 < density)
            tint = np.where(dome > height, (r1 + r3 * 5) % 1, tint)
            height = np.maximum(height, dome)
    return height * size, tint


def compute_beach(x: Array, z: Array) -> tuple[Array, Array]:
    """The near shore's height in metres (below 0: under water) and the tint of its stones."""
    line = 6.3 + 1.5 * gradient_noise(x / 3.1 + 0.4, z / 5) - 0.16 * x
    ground = 0.13 * (line - z) + 0.05 * fractal_noise(x * 1.3, z * 1.3, 3)
    wx, wz = x + 0.12 * gradient_noise(x * 2.3, z * 2.3), z + 0.12 * gradient_noise(x * 2.3 + 9, z * 2.3)
    tint = np.full(x.shape, 0.5, np.float32)
    total = ground
    for size, share, sink in ((1.9, 0.34, 0.22), (0.8, 0.5, 0.06), (0.34, 0.8, 0.02), (0.13, 1.0, 0.0)):
        rise, hue = compute_stones(wx, wz, size, share)
        rise = rise * smoothstep(1.8, 3.2, z) if size > 0.5 else rise  # no boulder in front of the lens
        rough = fractal_noise(x * 3 / size, z * 3 / size, 5 if size > 0.5 else 3, 0.55)
        top = ground + rise - sink + 0.032 * min(size, 1) * (rough - 0.8 * np.abs(rough))
        mine = (rise > 0) & (top > total)
        total, tint = np.where(mine, top, total), np.where(mine, hue, tint)
    return np.where(total < 0, 0.75 * total, total), tint  # water makes its bed look nearer


def compute_beach_height(x: Array, z: Array) -> Array:
    """`beach` without the tint."""
    return compute_beach(x, z)[0]


def compute_shadows(x: Array, y: Array, z: Array, mask: NDArray[np.bool_]) -> Array:
    """How much of the sun reaches points (n,) of the beach, 0..1, by walking towards it; only where `ask`."""
    sun = np.ones_like(x)
    x, y, z, free = x[mask], y[mask], z[mask], sun[mask]
    for t in (0.015, 0.035, 0.065, 0.11, 0.18, 0.29, 0.46, 0.75, 1.2):
        gap = y + t * SUN_DIRECTION[1] - compute_beach_height(x + t * SUN_DIRECTION[0], z + t * SUN_DIRECTION[2])
        free = np.minimum(free, smoothstep(-0.03 * t - 0.002, 0.04 * t + 0.002, gap))
    sun[mask] = free
    return sun


def compute_ripples(x: Array, z: Array, pixel_size: Array) -> tuple[Array, Array, Array]:
    """The water's slopes along x and z, and the deviation of those waves that are finer than a pixel's `grain`."""
    wind = 0.25 + 0.75 * smoothstep(-0.35, 0.5, fractal_noise(x / 60 + 2, z / 22, 3))
    sx, sz, rest = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for k, length in enumerate((9.0, 4.1, 1.9, 0.85, 0.4)):
        tilt = 0.0065 * wind * (1.0, 1.1, 1.2, 1.2, 1.0)[k]
        clear = np.exp(-((pixel_size / length) ** 2) * 2)
        u, v = x / (1.7 * length) + 3 * k, z / length + 5 * k
        sx += 0.6 * tilt * clear * gradient_noise(u + 40, v) * 2
        sz += tilt * clear * gradient_noise(u, v) * 2
        rest += (tilt * (1 - clear)) ** 2
    return sx, sz, np.sqrt(rest)


def render_near_view(image: Array, reflection: Array) -> Array:
    """The image with the lake, which reflects `mirror` (the scene from below the water), and the stony shore."""
    rng = np.random.default_rng(3)
    depth, _ = trace_ground(sample_columns(compute_beach_height, NEAR_DEPTHS), NEAR_DEPTHS, EYE_HEIGHT)
    seen = np.isfinite(depth)
    z = depth[seen]
    x = np.broadcast_to(COLUMN_SLOPES, depth.shape)[seen] * z
    y, tint = compute_beach(x, z)
    normal = compute_normals(compute_beach_height, x, z, z / FOCAL_LENGTH * 1.2)
    facing = np.clip(normal @ SUN_DIRECTION, 0, None)
    sun = compute_shadows(x, y, z, facing > 0)
    speck = fractal_noise(x * 30, z * 30 + y * 25, 4, 0.7)
    lichen = smoothstep(0.15, 0.6, fractal_noise(x * 3.1 + 5, z * 3.1 + 2 * y, 4)) * smoothstep(0.1, 0.3, y)
    rock = mix(np.array([0.075, 0.080, 0.092]), np.array([0.30, 0.265, 0.225]), tint)
    rock = mix(rock, np.array([0.25, 0.135, 0.085]), 0.5 * (np.abs(tint - 0.31) < 0.07))
    rock = mix(rock, np.array([0.26, 0.25, 0.10]), 0.55 * lichen) * (1 + 0.35 * speck)[:, None]
    wet = 1 - smoothstep(0.02, 0.07, y + 0.02 * speck)
    rock *= (1 - 0.5 * wet)[:, None]
    half = SUN_DIRECTION - np.stack([x, y - EYE_HEIGHT, z], -1) / np.linalg.norm(
        np.stack([x, y - EYE_HEIGHT, z], -1), axis=-1, keepdims=True
    )
    half /= np.linalg.norm(half, axis=-1, keepdims=True)
    shine = (0.03 + 0.25 * wet) * np.clip((normal * half).sum(-1), 0, 1) ** 40 * sun
    hollow = 0.55 + 0.45 * normal[:, 1]
    ground = rock * ((facing * sun)[:, None] * SUNLIGHT + hollow[:, None] * SKYLIGHT) + shine[:, None] * SUNLIGHT

    bed = np.zeros_like(image)
    bed[seen] = ground
    under = np.full(depth.shape, 1.2, np.float32)  # metres of water, seen along the ray
    under[seen] = np.clip(-y, 0, None) * 2.6
    net = 1 - np.abs(fractal_noise(x * 1.9 + 8, z * 1.9, 2))
    bed[seen] *= 1 + np.where(y < 0, 1.4 * np.clip(net, 0, 1) ** 8 * np.exp(y * 2), 0)[:, None]

    rows = slice(HORIZON_ROW + 1, HEIGHT)
    fall = -ROW_SLOPES[rows, None] + 0 * COLUMN_SLOPES
    wz = EYE_HEIGHT / fall
    wx = COLUMN_SLOPES * wz
    sx, sz, rest = compute_ripples(wx, wz, wz**2 / (FOCAL_LENGTH * EYE_HEIGHT))
    row, column = np.arange(HEIGHT)[rows, None] + 0.0, np.arange(WIDTH)[None, :] + 0.0
    glass = np.zeros((*wz.shape, 3), np.float32)
    for _ in range(6):
        tz, tx = sz + rest * rng.standard_normal(wz.shape), sx + 0.5 * rest * rng.standard_normal(wz.shape)
        up = np.abs(fall + 2 * tz)
        glass += (
            sample_bilinear(
                reflection, HORIZON_ROW - 0.5 - FOCAL_LENGTH * up, column + 2 * FOCAL_LENGTH * tx * (fall + 0.02)
            )
            / 6
        )
    through = np.exp(-under[rows][..., None] * np.array([1.9, 0.75, 0.62], np.float32))
    shift = 900 * np.clip(under[rows], 0, 0.25) / wz
    wobble = sample_bilinear(bed[rows], row - row[0] + shift * sz * 3, column + shift * sx * 3)
    deep = np.array([0.010, 0.040, 0.046], np.float32)
    sight = np.clip(fall / np.sqrt(1 + fall**2) + 1.5 * sz, 0.01, 1)
    fresnel = 0.02 + 0.98 * (1 - sight) ** 5
    water = mix(wobble * through + deep * (1 - through), glass * 0.96, fresnel)
    watery = np.isinf(depth[rows]) | (under[rows] > 0)
    image = image.copy()
    image[rows] = np.where(watery[..., None], water, bed[rows])
    return image
