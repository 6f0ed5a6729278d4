"""The foreground: the water, the stones in and beside it, and the meadow."""

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
    """Return the image with grass and flowers in its lower corners, a little out of focus."""
    rng = np.random.default_rng(5)
    picture = Image.new("RGBA", (WIDTH * 2, HEIGHT * 2), (60, 70, 20, 0))
    draw = ImageDraw.Draw(picture)
    hues = ((200, 190, 70), (150, 172, 62), (228, 196, 110))
    for n in range(2600):
        side = n % 2
        offset = rng.exponential(190 if side else 250)
        x = 2 * (WIDTH + 20 - offset if side else offset - 20)
        blade_height = 2 * rng.uniform(90, 330 if side else 400) * np.exp(-offset / (420 if side else 520))
        lean = rng.normal(0.16, 0.28) * blade_height
        brightness = rng.uniform(0.35, 1.0) * (0.45 + 0.55 * n / 2600)
        root = HEIGHT * 2 + 30
        points = [(x + lean * t**2.2, root - blade_height * (t - 0.12 * t**3)) for t in np.linspace(0, 1, 12)]
        for k in range(11):
            shade_factor = brightness * (0.35 + 0.75 * k / 11)
            color = tuple(int(np.clip(c * shade_factor, 0, 255)) for c in hues[n % 7 % 3])
            draw.line(points[k : k + 2], (*color, 255), max(int(9 * (1 - k / 11)), 2))
        if n % 29 == 7 and blade_height > 240:
            (cx, cy), size = points[-1], rng.uniform(20, 34)
            petals, hue = 13, (250, 244, 236) if rng.random() < 0.6 else (176, 122, 214)
            for k in range(petals):
                angle = 2 * np.pi * k / petals + rng.normal(0, 0.06)
                px, py = cx + size * np.cos(angle), cy + 0.62 * size * np.sin(angle)
                shade = 0.72 + 0.28 * (px < cx) + rng.uniform(-0.06, 0)
                draw.line([(cx, cy), (px, py)], (*(int(c * shade) for c in hue), 255), int(size * 0.34))
            draw.ellipse([cx - 9, cy - 8, cx + 9, cy + 5], (232, 170, 40, 255))
    layer = np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX))
    alpha = layer[..., 3:].astype(np.float32) / 255
    blurred = gaussian_blur(np.concatenate([to_linear_light(Image.fromarray(layer[..., :3])) * alpha, alpha], -1), 1.6)
    return image * (1 - blurred[..., 3:]) + blurred[..., :3] * np.array([1.5, 1.25, 0.95], np.float32)


def compute_stones(x: Array, z: Array, size: float, density: float) -> tuple[Array, Array]:
    """Return the height in metres and a random tint, 0..1, of rounded stones.

    size: of a cell in metres; a cell has at most one stone. density: share of the cells with a stone.
    """
    x, z = x / size + 7 * size + 4.6, z / size + 0.35
    height, tint = np.zeros(x.shape, np.float32), np.full(x.shape, 0.5, np.float32)
    for a in (0, 1):
        for b in (0, 1):
            i, k = np.floor(x - 0.5).astype(np.int32) + a, np.floor(z - 0.5).astype(np.int32) + b
            r0, r1, r2, r3 = np.moveaxis(LATTICE[i & 255, k & 255], -1, 0)
            dx, dz = x - i - 0.3 - 0.4 * r0, z - k - 0.3 - 0.4 * r1
            angle = r2 * 6.283
            dx, dz = dx * np.cos(angle) + dz * np.sin(angle), dz * np.cos(angle) - dx * np.sin(angle)
            radius = 0.26 + 0.24 * ((r0 + r2 * 7) % 1)
            distance = np.abs(dx / radius) ** 2.4 + np.abs(dz / (radius * (0.6 + 0.4 * r1))) ** 2.4
            dome = np.clip(1 - distance, 0, 1) ** 0.42 * radius * (0.55 + 0.5 * r3) * ((r3 * 13) % 1 < density)
            tint = np.where(dome > height, (r1 + r3 * 5) % 1, tint)
            height = np.maximum(height, dome)
    return height * size, tint


def compute_beach(x: Array, z: Array) -> tuple[Array, Array]:
    """Return the near shore's height in metres (below 0: under water) and the tint of its stones."""
    shoreline = 6.3 + 1.5 * gradient_noise(x / 3.1 + 0.4, z / 5) - 0.16 * x
    ground = 0.13 * (shoreline - z) + 0.05 * fractal_noise(x * 1.3, z * 1.3, 3)
    wx, wz = x + 0.12 * gradient_noise(x * 2.3, z * 2.3), z + 0.12 * gradient_noise(x * 2.3 + 9, z * 2.3)
    tint = np.full(x.shape, 0.5, np.float32)
    total = ground
    for size, share, sink in ((1.9, 0.34, 0.22), (0.8, 0.5, 0.06), (0.34, 0.8, 0.02), (0.13, 1.0, 0.0)):
        rise, hue = compute_stones(wx, wz, size, share)
        rise = rise * smoothstep(1.8, 3.2, z) if size > 0.5 else rise  # no boulder in front of the lens
        rough = fractal_noise(x * 3 / size, z * 3 / size, 5 if size > 0.5 else 3, 0.55)
        top = ground + rise - sink + 0.032 * min(size, 1) * (rough - 0.8 * np.abs(rough))
        is_top = (rise > 0) & (top > total)
        total, tint = np.where(is_top, top, total), np.where(is_top, hue, tint)
    return np.where(total < 0, 0.75 * total, total), tint  # refraction makes the bed look nearer


def compute_beach_height(x: Array, z: Array) -> Array:
    """Return the height of `compute_beach`, without the tint."""
    return compute_beach(x, z)[0]


def compute_shadows(x: Array, y: Array, z: Array, mask: NDArray[np.bool_]) -> Array:
    """Return the share of the sun that reaches points (n,) of the beach, 0..1, by marching; only in `mask`."""
    sun = np.ones_like(x)
    x, y, z, lit = x[mask], y[mask], z[mask], sun[mask]
    for t in (0.015, 0.035, 0.065, 0.11, 0.18, 0.29, 0.46, 0.75, 1.2):
        clearance = y + t * SUN_DIRECTION[1] - compute_beach_height(x + t * SUN_DIRECTION[0], z + t * SUN_DIRECTION[2])
        lit = np.minimum(lit, smoothstep(-0.03 * t - 0.002, 0.04 * t + 0.002, clearance))
    sun[mask] = lit
    return sun


def compute_ripples(x: Array, z: Array, pixel_size: Array) -> tuple[Array, Array, Array]:
    """Return the water's slopes along x and z, and the deviation of waves finer than a pixel of `pixel_size` metres."""
    wind = 0.25 + 0.75 * smoothstep(-0.35, 0.5, fractal_noise(x / 60 + 2, z / 22, 3))
    sx, sz, unresolved = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for k, length in enumerate((9.0, 4.1, 1.9, 0.85, 0.4)):
        tilt = 0.0065 * wind * (1.0, 1.1, 1.2, 1.2, 1.0)[k]
        resolved = np.exp(-((pixel_size / length) ** 2) * 2)
        u, v = x / (1.7 * length) + 3 * k, z / length + 5 * k
        sx += 0.6 * tilt * resolved * gradient_noise(u + 40, v) * 2
        sz += tilt * resolved * gradient_noise(u, v) * 2
        unresolved += (tilt * (1 - resolved)) ** 2
    return sx, sz, np.sqrt(unresolved)


def render_near_view(image: Array, reflection: Array) -> Array:
    """Return the image with the lake and the stony shore.

    reflection: the scene from below the water, which the lake reflects.
    """
    rng = np.random.default_rng(3)
    depth, _ = trace_ground(sample_columns(compute_beach_height, NEAR_DEPTHS), NEAR_DEPTHS, EYE_HEIGHT)
    is_ground = np.isfinite(depth)
    z = depth[is_ground]
    x = np.broadcast_to(COLUMN_SLOPES, depth.shape)[is_ground] * z
    y, tint = compute_beach(x, z)
    normal = compute_normals(compute_beach_height, x, z, z / FOCAL_LENGTH * 1.2)
    facing = np.clip(normal @ SUN_DIRECTION, 0, None)
    sun = compute_shadows(x, y, z, facing > 0)
    speck = fractal_noise(x * 30, z * 30 + y * 25, 4, 0.7)
    lichen = smoothstep(0.15, 0.6, fractal_noise(x * 3.1 + 5, z * 3.1 + 2 * y, 4)) * smoothstep(0.1, 0.3, y)
    rock = mix(np.array([0.075, 0.080, 0.092]), np.array([0.30, 0.265, 0.225]), tint)
    rock = mix(rock, np.array([0.25, 0.135, 0.085]), 0.5 * (np.abs(tint - 0.31) < 0.07))
    rock = mix(rock, np.array([0.26, 0.25, 0.10]), 0.55 * lichen) * (1 + 0.35 * speck)[:, None]
    wetness = 1 - smoothstep(0.02, 0.07, y + 0.02 * speck)
    rock *= (1 - 0.5 * wetness)[:, None]
    half_vector = SUN_DIRECTION - np.stack([x, y - EYE_HEIGHT, z], -1) / np.linalg.norm(
        np.stack([x, y - EYE_HEIGHT, z], -1), axis=-1, keepdims=True
    )
    half_vector /= np.linalg.norm(half_vector, axis=-1, keepdims=True)
    specular = (0.03 + 0.25 * wetness) * np.clip((normal * half_vector).sum(-1), 0, 1) ** 40 * sun
    sky_visibility = 0.55 + 0.45 * normal[:, 1]
    ground = (
        rock * ((facing * sun)[:, None] * SUNLIGHT + sky_visibility[:, None] * SKYLIGHT) + specular[:, None] * SUNLIGHT
    )

    bed = np.zeros_like(image)
    bed[is_ground] = ground
    water_depth = np.full(depth.shape, 1.2, np.float32)  # metres of water along the ray
    water_depth[is_ground] = np.clip(-y, 0, None) * 2.6
    caustics = 1 - np.abs(fractal_noise(x * 1.9 + 8, z * 1.9, 2))
    bed[is_ground] *= 1 + np.where(y < 0, 1.4 * np.clip(caustics, 0, 1) ** 8 * np.exp(y * 2), 0)[:, None]

    rows = slice(HORIZON_ROW + 1, HEIGHT)
    fall = -ROW_SLOPES[rows, None] + 0 * COLUMN_SLOPES
    wz = EYE_HEIGHT / fall
    wx = COLUMN_SLOPES * wz
    sx, sz, roughness = compute_ripples(wx, wz, wz**2 / (FOCAL_LENGTH * EYE_HEIGHT))
    row, column = np.arange(HEIGHT)[rows, None] + 0.0, np.arange(WIDTH)[None, :] + 0.0
    reflected = np.zeros((*wz.shape, 3), np.float32)
    for _ in range(6):
        tz, tx = sz + roughness * rng.standard_normal(wz.shape), sx + 0.5 * roughness * rng.standard_normal(wz.shape)
        reflected_slope = np.abs(fall + 2 * tz)
        reflected += (
            sample_bilinear(
                reflection,
                HORIZON_ROW - 0.5 - FOCAL_LENGTH * reflected_slope,
                column + 2 * FOCAL_LENGTH * tx * (fall + 0.02),
            )
            / 6
        )
    transmittance = np.exp(-water_depth[rows][..., None] * np.array([1.9, 0.75, 0.62], np.float32))
    shift = 900 * np.clip(water_depth[rows], 0, 0.25) / wz
    refracted = sample_bilinear(bed[rows], row - row[0] + shift * sz * 3, column + shift * sx * 3)
    water_color = np.array([0.010, 0.040, 0.046], np.float32)
    view_cosine = np.clip(fall / np.sqrt(1 + fall**2) + 1.5 * sz, 0.01, 1)
    fresnel = 0.02 + 0.98 * (1 - view_cosine) ** 5
    water = mix(refracted * transmittance + water_color * (1 - transmittance), reflected * 0.96, fresnel)
    is_water = np.isinf(depth[rows]) | (water_depth[rows] > 0)
    image = image.copy()
    image[rows] = np.where(is_water[..., None], water, bed[rows])
    return image
