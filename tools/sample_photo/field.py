"""Height fields: the noise that shapes the land, the rays that find it, and the light that falls on it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
HeightField = Callable[[Array, Array], Array]  # (x, z) in metres -> height in metres, all of one shape

WIDTH, HEIGHT = 2016, 1512
FOCAL_LENGTH, HORIZON_ROW, EYE_HEIGHT = 1500.0, 780, 1.65  # pixels, row, metres above the lake
SUN_DIRECTION = np.array([-0.80, 0.33, -0.50], np.float32) / np.float32(
    np.linalg.norm([0.80, 0.33, 0.50])
)  # towards the sun
SUNLIGHT = np.array([3.6, 2.15, 1.12], np.float32)
SKYLIGHT = np.array([0.24, 0.33, 0.52], np.float32)
HAZE_COLOR = np.array([0.56, 0.58, 0.68], np.float32)
COLUMN_SLOPES = ((np.arange(WIDTH) - WIDTH / 2 + 0.5) / FOCAL_LENGTH).astype(np.float32)  # x / z seen by each column
ROW_SLOPES = ((HORIZON_ROW - np.arange(HEIGHT) - 0.5) / FOCAL_LENGTH).astype(
    np.float32
)  # (y - eye) / z seen by each row
FAR_DEPTHS = np.geomspace(190, 14000, 2200, dtype=np.float32)  # depths at which the ground is looked up
NEAR_DEPTHS = np.geomspace(1.7, 17, 1000, dtype=np.float32)
EXIF_DATETIME, HEIC_QUALITY = "2025:09:21 18:42:07", 60

# Random numbers of a lattice that repeats after 256 cells, and a random slope at each of its points.
LATTICE = np.random.default_rng(20).random((256, 256, 4), np.float32)
LATTICE_ANGLES = LATTICE[..., 0] * 2 * np.pi
LATTICE_GRADIENTS = np.stack([np.cos(LATTICE_ANGLES), np.sin(LATTICE_ANGLES)], -1).astype(np.float32)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """A smooth ramp from 0 (value <= low) to 1 (value >= high)."""
    t: Array = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array, b: Array, amount: Array) -> Array:
    """Colours a (amount 0) to b (amount 1); amount lacks the channel axis."""
    return a + (b - a) * amount[..., None]


def gradient_noise(x: Array, z: Array) -> Array:
    """Gradient noise with features of size 1, about -0.8 to 0.8."""
    x0, z0 = np.floor(x), np.floor(z)
    fx, fz = (x - x0).astype(np.float32), (z - z0).astype(np.float32)
    i, k = x0.astype(np.int32), z0.astype(np.int32)

    def corner_value(a: int, b: int) -> Array:
        slope = LATTICE_GRADIENTS[(i + a) & 255, (k + b) & 255]
        rise: Array = slope[..., 0] * (fx - a) + slope[..., 1] * (fz - b)
        return rise

    u, v = fx**3 * (fx * (fx * 6 - 15) + 10), fz**3 * (fz * (fz * 6 - 15) + 10)
    near, far = corner_value(0, 0), corner_value(0, 1)
    near, far = near + u * (corner_value(1, 0) - near), far + u * (corner_value(1, 1) - far)
    return 1.5 * (near + v * (far - near))


def fractal_noise(x: Array, z: Array, octaves: int, gain: float = 0.5) -> Array:
    """Octaves of noise, each turned against the last so that the lattice does not show; about -1 to 1."""
    total, weight = np.zeros(np.broadcast(x, z).shape, np.float32), 1.0
    for octave in range(octaves):
        total += weight * gradient_noise(x + 17.3 * octave, z - 9.1 * octave)
        x, z, weight = 1.6 * x + 1.2 * z, -1.2 * x + 1.6 * z, weight * gain
    return total


def ridged_noise(x: Array, z: Array, octaves: int) -> Array:
    """Ridged multifractal: sharp crests with finer crests on them and smooth valleys; about 0 to 1."""
    total, weight, carry = np.zeros(x.shape, np.float32), 0.55, np.float32(1)
    for octave in range(octaves):
        crest = (1 - np.abs(gradient_noise(x + 31.7 * octave, z + 11.9 * octave))) ** 2 * carry
        total += weight * crest
        carry = np.clip(crest * 1.7, 0, 1)
        x, z, weight = 1.6 * x + 1.2 * z, -1.2 * x + 1.6 * z, weight * 0.47
    return total


def gaussian_blur(image: Array, sigma: float) -> Array:
    """The image under a Gaussian of sigma pixels, with edges mirrored."""
    pad = int(3 * sigma) + 1
    wide = np.pad(image, [(pad, pad), (pad, pad)] + [(0, 0)] * (image.ndim - 2), mode="reflect")
    for axis in (0, 1):
        wave = np.fft.rfftfreq(wide.shape[axis])
        shape = [1] * wide.ndim
        shape[axis] = -1
        lens = np.exp(-2 * (np.pi * sigma * wave) ** 2).reshape(shape)
        wide = np.fft.irfft(np.fft.rfft(wide, axis=axis) * lens, wide.shape[axis], axis=axis)
    return wide[pad:-pad, pad:-pad].astype(np.float32)


def sample_bilinear(image: Array, row: Array, column: Array) -> Array:
    """The image at fractional rows and columns (clipped to it), linearly interpolated."""
    row, column = np.clip(row, 0, image.shape[0] - 1.01), np.clip(column, 0, image.shape[1] - 1.01)
    r, c = row.astype(np.int32), column.astype(np.int32)
    tail = (...,) + (None,) * (image.ndim - 2)
    fr, fc = (row - r).astype(np.float32)[tail], (column - c).astype(np.float32)[tail]
    above = image[r, c] * (1 - fc) + image[r, c + 1] * fc
    return above * (1 - fr) + (image[r + 1, c] * (1 - fc) + image[r + 1, c + 1] * fc) * fr


def sample_columns(height_field: HeightField, depths: Array) -> Array:
    """A height field over all that the camera's columns cross: (depths, WIDTH)."""
    return height_field(COLUMN_SLOPES * depths[:, None], depths[:, None] + 0 * COLUMN_SLOPES)


def trace_ground(ground: Array, depths: Array, eye_height: float) -> tuple[Array, Array]:
    """Each pixel's depth z on the ground given by `over` (inf: it sees none), and its coverage 0..1 at the skyline.

    A negative `eye` is the camera's mirror image under the water, which sees what the lake reflects.
    """
    rows = HORIZON_ROW - FOCAL_LENGTH * (ground - eye_height) / depths[:, None]
    skyline = np.minimum.accumulate(rows, axis=0)  # the highest row reached so far, from near to far
    centres = np.arange(HEIGHT) + 0.5
    depth = np.full((HEIGHT, WIDTH), np.inf, np.float32)
    for column in range(WIDTH):
        line = skyline[:, column]
        hit = np.searchsorted(-line, -centres)
        seen = (hit > 0) & (hit < len(line))
        k = hit[seen]
        part = (line[k - 1] - centres[seen]) / np.maximum(line[k - 1] - line[k], 1e-6)
        depth[seen, column] = depths[k - 1] + part * (depths[k] - depths[k - 1])
        edge = int(line[-1] - 0.5)  # the skyline's own pixel is half ground: give it the depth of the one below
        if 0 <= edge < HEIGHT - 2 and np.isinf(depth[edge, column]):
            depth[edge, column] = depth[edge + 1 : edge + 3, column].min()
    return depth, np.clip(centres[:, None] + 0.5 - skyline[-1], 0, 1).astype(np.float32)


def compute_normals(height_field: HeightField, x: Array, z: Array, distance: Array) -> Array:
    """Unit normals (n, 3) of a height field at points (n,), from differences over `reach` metres."""
    here = height_field(x, z)
    slope = [(height_field(x + distance, z) - here) / distance, (height_field(x, z + distance) - here) / distance]
    normal = np.stack([-slope[0], np.ones_like(x), -slope[1]], -1)
    unit: Array = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    return unit


def compute_sunlight(height_field: HeightField, x: Array, z: Array, resolution: int, softness: float) -> Array:
    """How much of the sun reaches points (n,) on a height field, 0..1; `soft` metres blur the shadow's edge."""
    away = -SUN_DIRECTION[[0, 2]] / np.linalg.norm(SUN_DIRECTION[[0, 2]])
    along, across = x * away[0] + z * away[1], x * away[1] - z * away[0]
    a = np.linspace(along.min() - 0.3 * np.ptp(along), along.max(), resolution, dtype=np.float32)
    b = np.linspace(across.min(), across.max(), resolution, dtype=np.float32)
    fall = float(SUN_DIRECTION[1] / np.hypot(SUN_DIRECTION[0], SUN_DIRECTION[2]))
    # On a map whose rows run away from the sun, shadow is one running maximum of height plus the ray's fall.
    ground = height_field(a[:, None] * away[0] + b * away[1], a[:, None] * away[1] - b * away[0]) + a[:, None] * fall
    depth = np.maximum.accumulate(ground, axis=0) - ground
    depth = sample_bilinear(gaussian_blur(depth, 1.0), (along - a[0]) / (a[1] - a[0]), (across - b[0]) / (b[1] - b[0]))
    return 1 - smoothstep(0.15 * softness, 1.15 * softness, depth)
