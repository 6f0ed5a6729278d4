"""Height fields: noise that shapes the land, rays that intersect it, and sunlight on it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
HeightField = Callable[[Array, Array], Array]  # (x, z) in metres -> height in metres, all of one shape

WIDTH, HEIGHT = 2016, 1512
#: Pixels; row; metres above the lake.
FOCAL_LENGTH, HORIZON_ROW, EYE_HEIGHT = 1500.0, 780, 1.65
#: Unit vector towards the sun.
SUN_DIRECTION = np.array([-0.80, 0.33, -0.50], np.float32) / np.float32(np.linalg.norm([0.80, 0.33, 0.50]))
SUNLIGHT = np.array([3.6, 2.15, 1.12], np.float32)
SKYLIGHT = np.array([0.24, 0.33, 0.52], np.float32)
HAZE_COLOR = np.array([0.56, 0.58, 0.68], np.float32)
#: x / z of the ray through each column, and (y - eye height) / z of the ray through each row.
COLUMN_SLOPES = ((np.arange(WIDTH) - WIDTH / 2 + 0.5) / FOCAL_LENGTH).astype(np.float32)
ROW_SLOPES = ((HORIZON_ROW - np.arange(HEIGHT) - 0.5) / FOCAL_LENGTH).astype(np.float32)
#: Depths in metres at which the far and the near ground are sampled.
FAR_DEPTHS = np.geomspace(190, 14000, 2200, dtype=np.float32)
NEAR_DEPTHS = np.geomspace(1.7, 17, 1000, dtype=np.float32)
EXIF_DATETIME, HEIC_QUALITY = "2025:09:21 18:42:07", 60

# Random numbers on a lattice that repeats after 256 cells, and a random gradient at each point.
LATTICE = np.random.default_rng(20).random((256, 256, 4), np.float32)
LATTICE_ANGLES = LATTICE[..., 0] * 2 * np.pi
LATTICE_GRADIENTS = np.stack([np.cos(LATTICE_ANGLES), np.sin(LATTICE_ANGLES)], -1).astype(np.float32)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Return a smooth ramp from 0 (value <= low) to 1 (value >= high)."""
    t: Array = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array, b: Array, amount: Array) -> Array:
    """Blend colours from a (amount 0) to b (amount 1); amount has no channel axis."""
    return a + (b - a) * amount[..., None]


def gradient_noise(x: Array, z: Array) -> Array:
    """Return gradient noise with features of size 1, about -0.8 to 0.8."""
    x0, z0 = np.floor(x), np.floor(z)
    fx, fz = (x - x0).astype(np.float32), (z - z0).astype(np.float32)
    i, k = x0.astype(np.int32), z0.astype(np.int32)

    def corner_value(a: int, b: int) -> Array:
        slope = LATTICE_GRADIENTS[(i + a) & 255, (k + b) & 255]
        rise: Array = slope[..., 0] * (fx - a) + slope[..., 1] * (fz - b)
        return rise

    u, v = fx**3 * (fx * (fx * 6 - 15) + 10), fz**3 * (fz * (fz * 6 - 15) + 10)
    lower, upper = corner_value(0, 0), corner_value(0, 1)
    lower, upper = lower + u * (corner_value(1, 0) - lower), upper + u * (corner_value(1, 1) - upper)
    return 1.5 * (lower + v * (upper - lower))


def fractal_noise(x: Array, z: Array, octaves: int, gain: float = 0.5) -> Array:
    """Return octaves of gradient noise, about -1 to 1; each is rotated, so that the lattice is not visible."""
    total, weight = np.zeros(np.broadcast(x, z).shape, np.float32), 1.0
    for octave in range(octaves):
        total += weight * gradient_noise(x + 17.3 * octave, z - 9.1 * octave)
        x, z, weight = 1.6 * x + 1.2 * z, -1.2 * x + 1.6 * z, weight * gain
    return total


def ridged_noise(x: Array, z: Array, octaves: int) -> Array:
    """Return a ridged multifractal, about 0 to 1: sharp crests with finer crests, and smooth valleys."""
    total, weight, carry = np.zeros(x.shape, np.float32), 0.55, np.float32(1)
    for octave in range(octaves):
        crest = (1 - np.abs(gradient_noise(x + 31.7 * octave, z + 11.9 * octave))) ** 2 * carry
        total += weight * crest
        carry = np.clip(crest * 1.7, 0, 1)
        x, z, weight = 1.6 * x + 1.2 * z, -1.2 * x + 1.6 * z, weight * 0.47
    return total


def gaussian_blur(image: Array, sigma: float) -> Array:
    """Blur an image by a Gaussian of sigma pixels; edges are mirrored."""
    pad = int(3 * sigma) + 1
    padded = np.pad(image, [(pad, pad), (pad, pad)] + [(0, 0)] * (image.ndim - 2), mode="reflect")
    for axis in (0, 1):
        frequencies = np.fft.rfftfreq(padded.shape[axis])
        shape = [1] * padded.ndim
        shape[axis] = -1
        response = np.exp(-2 * (np.pi * sigma * frequencies) ** 2).reshape(shape)
        padded = np.fft.irfft(np.fft.rfft(padded, axis=axis) * response, padded.shape[axis], axis=axis)
    return padded[pad:-pad, pad:-pad].astype(np.float32)


def sample_bilinear(image: Array, row: Array, column: Array) -> Array:
    """Return the image at fractional rows and columns (clipped to it), linearly interpolated."""
    row, column = np.clip(row, 0, image.shape[0] - 1.01), np.clip(column, 0, image.shape[1] - 1.01)
    r, c = row.astype(np.int32), column.astype(np.int32)
    broadcast = (...,) + (None,) * (image.ndim - 2)
    fr, fc = (row - r).astype(np.float32)[broadcast], (column - c).astype(np.float32)[broadcast]
    above = image[r, c] * (1 - fc) + image[r, c + 1] * fc
    return above * (1 - fr) + (image[r + 1, c] * (1 - fc) + image[r + 1, c + 1] * fc) * fr


def sample_columns(height_field: HeightField, depths: Array) -> Array:
    """Return a height field at the given depths along the camera's columns: (depths, WIDTH)."""
    return height_field(COLUMN_SLOPES * depths[:, None], depths[:, None] + 0 * COLUMN_SLOPES)


def trace_ground(ground: Array, depths: Array, eye_height: float) -> tuple[Array, Array]:
    """Return each pixel's depth z on the ground (inf: none), and the ground's coverage at the skyline, 0..1.

    ground: heights (depths, WIDTH) from `sample_columns`. A negative eye_height is the camera's mirror image under the
    water, for reflections.
    """
    rows = HORIZON_ROW - FOCAL_LENGTH * (ground - eye_height) / depths[:, None]
    skyline = np.minimum.accumulate(rows, axis=0)  # the highest row reached so far, from near to far
    centers = np.arange(HEIGHT) + 0.5
    depth = np.full((HEIGHT, WIDTH), np.inf, np.float32)
    for column in range(WIDTH):
        line = skyline[:, column]
        hit = np.searchsorted(-line, -centers)
        is_hit = (hit > 0) & (hit < len(line))
        k = hit[is_hit]
        fraction = (line[k - 1] - centers[is_hit]) / np.maximum(line[k - 1] - line[k], 1e-6)
        depth[is_hit, column] = depths[k - 1] + fraction * (depths[k] - depths[k - 1])
        edge = int(line[-1] - 0.5)  # the skyline's own pixel is half ground: give it the depth of the one below
        if 0 <= edge < HEIGHT - 2 and np.isinf(depth[edge, column]):
            depth[edge, column] = depth[edge + 1 : edge + 3, column].min()
    return depth, np.clip(centers[:, None] + 0.5 - skyline[-1], 0, 1).astype(np.float32)


def compute_normals(height_field: HeightField, x: Array, z: Array, distance: Array) -> Array:
    """Return unit normals (n, 3) of a height field at points (n,), from differences over `distance` metres."""
    height = height_field(x, z)
    slope = [(height_field(x + distance, z) - height) / distance, (height_field(x, z + distance) - height) / distance]
    normal = np.stack([-slope[0], np.ones_like(x), -slope[1]], -1)
    unit_normal: Array = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    return unit_normal


def compute_sunlight(height_field: HeightField, x: Array, z: Array, resolution: int, softness: float) -> Array:
    """Return the share of the sun that reaches points (n,) on a height field, 0..1.

    resolution: rows and columns of the shadow map. softness: width of the shadow's edge, in metres.
    """
    direction = -SUN_DIRECTION[[0, 2]] / np.linalg.norm(SUN_DIRECTION[[0, 2]])
    along, across = x * direction[0] + z * direction[1], x * direction[1] - z * direction[0]
    a = np.linspace(along.min() - 0.3 * np.ptp(along), along.max(), resolution, dtype=np.float32)
    b = np.linspace(across.min(), across.max(), resolution, dtype=np.float32)
    fall = float(SUN_DIRECTION[1] / np.hypot(SUN_DIRECTION[0], SUN_DIRECTION[2]))
    # On a map whose rows run away from the sun, shadow is a running maximum of the height plus the ray's fall.
    ground = (
        height_field(a[:, None] * direction[0] + b * direction[1], a[:, None] * direction[1] - b * direction[0])
        + a[:, None] * fall
    )
    shadow_depth = np.maximum.accumulate(ground, axis=0) - ground
    shadow_depth = sample_bilinear(
        gaussian_blur(shadow_depth, 1.0), (along - a[0]) / (a[1] - a[0]), (across - b[0]) / (b[1] - b[0])
    )
    return 1 - smoothstep(0.15 * softness, 1.15 * softness, shadow_depth)
