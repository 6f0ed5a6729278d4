"""Paint the project's own sample photo: a mountain lake at golden hour, computed from noise and nothing else.

`python -m artdream.sample.paint [OUT]` writes it as the HEIC that a phone would have made: 2016 x 1512, upright, with
EXIF and without a position. The same seed gives the same picture.

The scene is a small ray tracer over height fields: `trace` finds the point of the ground that each pixel sees, and
everything else (light, shadow, snow, haze) is computed there. World coordinates are metres: x to the right, y up with
the lake at 0, z away from the camera. Colours are linear light, 0 and up, until `develop` turns them into sRGB. Arrays
hold floats and, unless said otherwise, have the shape (rows, columns) or (rows, columns, 3).
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw

Array = NDArray[np.floating[Any]]
Height = Callable[[Array, Array], Array]  # (x, z) in metres -> height in metres, all of one shape

WIDTH, HEIGHT = 2016, 1512
FOCAL, HORIZON, EYE = 1500.0, 780, 1.65  # pixels, row, metres above the lake
SUN = np.array([-0.80, 0.33, -0.50], np.float32) / np.float32(np.linalg.norm([0.80, 0.33, 0.50]))  # towards the sun
SUNLIGHT = np.array([3.6, 2.15, 1.12], np.float32)
SKYLIGHT = np.array([0.24, 0.33, 0.52], np.float32)
HAZE = np.array([0.56, 0.58, 0.68], np.float32)
SIDE = ((np.arange(WIDTH) - WIDTH / 2 + 0.5) / FOCAL).astype(np.float32)  # x / z seen by each column
RISE = ((HORIZON - np.arange(HEIGHT) - 0.5) / FOCAL).astype(np.float32)  # (y - eye) / z seen by each row
FAR = np.geomspace(190, 14000, 2200, dtype=np.float32)  # depths at which the ground is looked up
NEAR = np.geomspace(1.7, 17, 1000, dtype=np.float32)
TAKEN, QUALITY = "2025:09:21 18:42:07", 60

# Random numbers of a lattice that repeats after 256 cells, and a random slope at each of its points.
TABLE = np.random.default_rng(20).random((256, 256, 4), np.float32)
ANGLE = TABLE[..., 0] * 2 * np.pi
SLOPES = np.stack([np.cos(ANGLE), np.sin(ANGLE)], -1).astype(np.float32)


def step(low: float, high: float, value: Array) -> Array:
    """A smooth ramp from 0 (value <= low) to 1 (value >= high)."""
    t: Array = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array, b: Array, amount: Array) -> Array:
    """Colours a (amount 0) to b (amount 1); amount lacks the channel axis."""
    return a + (b - a) * amount[..., None]


def noise(x: Array, z: Array) -> Array:
    """Gradient noise with features of size 1, about -0.8 to 0.8."""
    x0, z0 = np.floor(x), np.floor(z)
    fx, fz = (x - x0).astype(np.float32), (z - z0).astype(np.float32)
    i, k = x0.astype(np.int32), z0.astype(np.int32)

    def corner(a: int, b: int) -> Array:
        slope = SLOPES[(i + a) & 255, (k + b) & 255]
        rise: Array = slope[..., 0] * (fx - a) + slope[..., 1] * (fz - b)
        return rise

    u, v = fx**3 * (fx * (fx * 6 - 15) + 10), fz**3 * (fz * (fz * 6 - 15) + 10)
    near, far = corner(0, 0), corner(0, 1)
    near, far = near + u * (corner(1, 0) - near), far + u * (corner(1, 1) - far)
    return 1.5 * (near + v * (far - near))


def fractal(x: Array, z: Array, octaves: int, gain: float = 0.5) -> Array:
    """Octaves of noise, each turned against the last so that the lattice does not show; about -1 to 1."""
    total, weight = np.zeros(np.broadcast(x, z).shape, np.float32), 1.0
    for octave in range(octaves):
        total += weight * noise(x + 17.3 * octave, z - 9.1 * octave)
        x, z, weight = 1.6 * x + 1.2 * z, -1.2 * x + 1.6 * z, weight * gain
    return total


def ridges(x: Array, z: Array, octaves: int) -> Array:
    """Ridged multifractal: sharp crests with finer crests on them and smooth valleys; about 0 to 1."""
    total, weight, carry = np.zeros(x.shape, np.float32), 0.55, np.float32(1)
    for octave in range(octaves):
        crest = (1 - np.abs(noise(x + 31.7 * octave, z + 11.9 * octave))) ** 2 * carry
        total += weight * crest
        carry = np.clip(crest * 1.7, 0, 1)
        x, z, weight = 1.6 * x + 1.2 * z, -1.2 * x + 1.6 * z, weight * 0.47
    return total


def blur(image: Array, sigma: float) -> Array:
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


def pick(image: Array, row: Array, column: Array) -> Array:
    """The image at fractional rows and columns (clipped to it), linearly interpolated."""
    row, column = np.clip(row, 0, image.shape[0] - 1.01), np.clip(column, 0, image.shape[1] - 1.01)
    r, c = row.astype(np.int32), column.astype(np.int32)
    tail = (...,) + (None,) * (image.ndim - 2)
    fr, fc = (row - r).astype(np.float32)[tail], (column - c).astype(np.float32)[tail]
    above = image[r, c] * (1 - fc) + image[r, c + 1] * fc
    return above * (1 - fr) + (image[r + 1, c] * (1 - fc) + image[r + 1, c + 1] * fc) * fr


# --- the ground ------------------------------------------------------------------------------------------------------


def over(height: Height, depths: Array) -> Array:
    """A height field over all that the camera's columns cross: (depths, WIDTH)."""
    return height(SIDE * depths[:, None], depths[:, None] + 0 * SIDE)


def trace(ground: Array, depths: Array, eye: float) -> tuple[Array, Array]:
    """Each pixel's depth z on the ground given by `over` (inf: it sees none), and its coverage 0..1 at the skyline.

    A negative `eye` is the camera's mirror image under the water, which sees what the lake reflects.
    """
    rows = HORIZON - FOCAL * (ground - eye) / depths[:, None]
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


def normals(height: Height, x: Array, z: Array, reach: Array) -> Array:
    """Unit normals (n, 3) of a height field at points (n,), from differences over `reach` metres."""
    here = height(x, z)
    slope = [(height(x + reach, z) - here) / reach, (height(x, z + reach) - here) / reach]
    normal = np.stack([-slope[0], np.ones_like(x), -slope[1]], -1)
    unit: Array = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    return unit


def sunshine(height: Height, x: Array, z: Array, cells: int, soft: float) -> Array:
    """How much of the sun reaches points (n,) on a height field, 0..1; `soft` metres blur the shadow's edge."""
    away = -SUN[[0, 2]] / np.linalg.norm(SUN[[0, 2]])
    along, across = x * away[0] + z * away[1], x * away[1] - z * away[0]
    a = np.linspace(along.min() - 0.3 * np.ptp(along), along.max(), cells, dtype=np.float32)
    b = np.linspace(across.min(), across.max(), cells, dtype=np.float32)
    fall = float(SUN[1] / np.hypot(SUN[0], SUN[2]))
    # On a map whose rows run away from the sun, shadow is one running maximum of height plus the ray's fall.
    ground = height(a[:, None] * away[0] + b * away[1], a[:, None] * away[1] - b * away[0]) + a[:, None] * fall
    depth = np.maximum.accumulate(ground, axis=0) - ground
    depth = pick(blur(depth, 1.0), (along - a[0]) / (a[1] - a[0]), (across - b[0]) / (b[1] - b[0]))
    return 1 - step(0.15 * soft, 1.15 * soft, depth)


def mountains(x: Array, z: Array) -> Array:
    """The far shore, its hills and the range behind them."""
    bend = 260 * fractal(x / 900, z / 900, 3)
    wx, wz = x + bend, z - 0.6 * bend
    shore = z - shore_depth(x)
    valley = np.abs(x + 0.10 * z - 150)
    relief = 120 * step(60, 900, shore) + 520 * step(0.10, 0.62, valley / z) * step(300, 2600, shore)
    relief += 1500 * step(2300, 6500, z) * (0.45 + 0.55 * step(0.0, 0.5, valley / z))
    crests = ridges(wx / 2300 + 3.3, wz / 2300 + 8.1, 10)
    hero = 2150 * np.clip(1 - np.hypot(wx - 750, 0.8 * (wz - 6900)) / 2600, 0, 1) ** 1.7
    hero += 1250 * np.clip(1 - np.hypot(x + 2300, 0.8 * (z - 7600)) / 1900, 0, 1)
    height = relief * (0.15 + 1.05 * crests) + hero * (0.75 + 0.35 * crests)
    return np.where(shore > 0, 0.4 + 0.02 * np.minimum(shore, 200) + height, -8 + 0 * height)


def shore_depth(x: Array) -> Array:
    """How far away the lake's far shore is at x, in metres."""
    return 420 + 110 * noise(x / 260 + 4.2, 0 * x) + 20 * noise(x / 40, 0 * x + 5) - 200 * step(40, 190, x)


def far_view(sky: Array, ground: Array, eye: float) -> tuple[Array, Array]:
    """The sky with the mountains in front, and each pixel's depth in metres (inf: sky)."""
    depth, cover = trace(ground, FAR, eye)
    depth[RISE[:, None] * np.where(np.isinf(depth), 1, depth) + eye < 0.1] = np.inf  # what lies under the lake
    seen = np.isfinite(depth)
    z = depth[seen]
    x = np.broadcast_to(SIDE, depth.shape)[seen] * z
    reach = np.maximum(z / FOCAL * 1.2, 0.5)
    y = mountains(x, z)
    normal = normals(mountains, x, z, reach)
    lit = sunshine(mountains, x, z, 1500, 25.0) * np.clip(normal @ SUN, 0, None)
    grain = fractal(x / 60, z / 60 + y / 35, 5)
    layers = 0.5 + 0.5 * np.sin(y / 26 + 3 * grain + x / 400)
    rock = mix(
        np.array([0.085, 0.078, 0.080]), np.array([0.23, 0.19, 0.165]), np.clip(0.5 + 0.5 * grain, 0, 1) * layers
    )
    meadow = mix(np.array([0.055, 0.085, 0.022]), np.array([0.15, 0.15, 0.045]), np.clip(0.5 + 0.6 * grain, 0, 1))
    flat = normal[:, 1]
    colour = mix(rock, meadow, step(0.62, 0.85, flat + 0.12 * grain) * (1 - step(450, 850, y + 200 * grain)))
    snow = step(0.46, 0.60, flat + 0.20 * grain + (y - 1350) / 3000) * step(550, 1000, y + 260 * grain)
    colour = mix(colour, np.array([0.86, 0.88, 0.92]), snow)
    light = lit[:, None] * SUNLIGHT + (0.45 + 0.55 * flat[:, None]) * SKYLIGHT
    image = sky.copy()
    image[seen] = mix(sky[seen], haze(colour * light, z, y), cover[seen])
    return image, depth


def haze(colour: Array, z: Array, y: Array) -> Array:
    """Colours (n, 3) as seen through z metres of air at height y: mist lies low over the water."""
    clear = np.exp(-z / 34000 - z / 10500 * np.exp(-np.clip(y, 0, None) / 420))
    return mix(colour, HAZE * np.array([1.0, 0.98, 0.98]), 1 - clear)


# --- the sky ---------------------------------------------------------------------------------------------------------


def bumps(rng: np.random.Generator, shape: tuple[int, int, int], cells: float) -> Array:
    """Smooth random numbers of a volume, features `cells` voxels wide, mean 0 and deviation about 1."""
    volume = rng.standard_normal([int(n / cells) + 4 for n in shape]).astype(np.float32)
    for axis, n in enumerate(shape):
        at = np.arange(n) / cells + 1
        k = at.astype(int)
        f = (at - k).astype(np.float32)
        lens = np.zeros((n, volume.shape[axis]), np.float32)
        weights = ((1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3)
        for offset, weight in enumerate(weights):
            lens[np.arange(n), k - 1 + offset] = weight / 6
        volume = np.moveaxis(np.tensordot(lens, volume, (1, axis)), 0, axis)
    return volume * 3


def clouds(image: Array) -> Array:
    """The sky with cumulus in front: a lit volume of voxels, seen slice by slice from near to far."""
    voxel, base, first = 52.0, 1900.0, 9000.0
    shape = (290, 84, 620)  # z, y, x
    rng = np.random.default_rng(2)
    density: Array = np.zeros(shape, np.float32)
    for cells, weight in ((70.0, 0.55), (30.0, 0.33)):  # where clouds stand
        density += weight * bumps(rng, shape, cells)
    for cells, weight in ((17, 0.36), (8.5, 0.22), (4.5, 0.11), (2.2, 0.05)):  # creases between their billows
        density -= weight * np.abs(bumps(rng, shape, cells))
    y = np.arange(shape[1], dtype=np.float32)[None, :, None] / shape[1]
    density = np.clip(5 * (density + 0.57 - 1.5 * y - step(-0.16, 0.0, -y)), 0, 1)
    shade = np.zeros_like(density)  # optical depth towards the sun, which stands to the left (-x), up and near (-z)
    for k in range(1, shape[2]):
        before = shade[:, :, k - 1] + density[:, :, k - 1]
        before = 0.59 * before + 0.41 * np.roll(before, -1, axis=1)
        shade[:, :, k] = 0.37 * before + 0.63 * np.roll(before, 1, axis=0)
    through = np.ones(image.shape[:2], np.float32)
    glow = np.zeros_like(image)
    for s in range(shape[0]):
        z = first + s * voxel
        row, column = (RISE * z + EYE - base) / voxel, np.clip(SIDE * z / voxel + shape[2] / 2, 0, shape[2] - 1.01)
        rows = np.flatnonzero((row > 0) & (row < shape[1] - 1))
        if not len(rows):
            continue
        grid = np.stack([density[s], shade[s]], -1)
        r, c = row[rows].astype(int), column.astype(int)
        fr, fc = (row[rows] - r)[:, None, None].astype(np.float32), (column - c)[None, :, None].astype(np.float32)
        lines = grid[r] * (1 - fr) + grid[r + 1] * fr
        here = lines[:, c] * (1 - fc) + lines[:, c + 1] * fc
        part = slice(rows[0], rows[-1] + 1)
        block = through[part] * (1 - np.exp(-1.1 * here[..., 0]))
        sun = 0.75 * np.exp(-0.38 * here[..., 1]) + 0.25 * np.exp(-0.05 * here[..., 1])
        high = (row[rows] / shape[1])[:, None, None].astype(np.float32)
        colour = sun[..., None] * SUNLIGHT * 0.56 + SKYLIGHT * (0.45 + 0.9 * high)
        glow[part] += block[..., None] * mix(colour, HAZE, np.full(block.shape, 1 - np.exp(-z / 34000), np.float32))
        through[part] -= block
    return image * through[..., None] + glow


def sky() -> Array:
    """The evening sky (rows, columns, 3): blue above, warm where the sun is, thin streaks of cirrus, cumulus."""
    rise, side = np.clip(RISE, 0.002, None)[:, None], SIDE[None, :]
    up = np.clip(rise / 0.5, 0, 1) ** 0.62 + 0 * side
    image = mix(np.array([0.78, 0.62, 0.52], np.float32), np.array([0.10, 0.20, 0.44], np.float32), up)
    image = mix(image, np.array([1.05, 0.74, 0.46], np.float32), 0.55 * np.exp(-((side + 0.75) ** 2) * 3 - rise * 5))
    x, z = side / (rise + 0.05), 1 / (rise + 0.05)
    warp = fractal(x / 2, z / 2, 3)
    veil = fractal(x * 0.55 + warp, z * 1.5 + 0.5 * x + 0.7 * warp + 3, 6, 0.6)
    image = mix(image, np.array([1.1, 0.82, 0.66], np.float32), 0.5 * step(0.0, 1.1, veil) * step(0.02, 0.25, rise))
    return clouds(image.astype(np.float32))


CABIN = (84.0, 332.0)  # x and z of its middle

# --- what grows ------------------------------------------------------------------------------------------------------


def linear(picture: Image.Image) -> Array:
    """An sRGB(A) picture as linear light, 0..1."""
    x = np.asarray(picture, np.float32) / 255
    return np.where(x < 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def pine(rng: np.random.Generator) -> Image.Image:
    """One pine, 300 x 640: red is its coverage, green the sunlight on it, blue the tone of its needles."""
    wide, tall = 900, 1920
    picture = Image.new("RGB", (wide, tall))
    draw = ImageDraw.Draw(picture)
    draw.polygon([(wide / 2 - 14, tall), (wide / 2, 30), (wide / 2 + 14, tall)], (255, 60, 0))
    spread = rng.uniform(0.36, 0.46) * wide
    for t in np.linspace(0.06, 0.985, 46):
        reach = spread * (1 - t) ** 0.8 * rng.uniform(0.7, 1.1) + 8
        azimuths = rng.uniform(0, 2 * np.pi, 13)
        for azimuth in azimuths[np.argsort(-np.sin(azimuths))]:  # the far side first; sin < 0 is near
            dx, dz = np.cos(azimuth), np.sin(azimuth)
            sun = np.clip(0.30 - 0.60 * dx - 0.38 * dz, 0.02, 1) * (0.55 + 0.45 * t)
            length = reach * rng.uniform(0.7, 1.1)
            for part in np.linspace(0.12, 1, 9):
                x = wide / 2 + dx * length * part
                y = tall * (1 - t) + length * (0.42 * part**1.5 - 0.25 * part - 0.14 * dz * part)
                for _ in range(3):
                    light = np.clip(sun * (0.4 + 0.8 * part) * rng.uniform(0.5, 1.2), 0, 1)
                    tip = (x + dx * 26 + rng.normal(0, 13), y + rng.uniform(8, 44) * (1.1 - 0.7 * t))
                    draw.line([(x, y - 6), tip], (255, int(255 * light), int(rng.integers(60, 220))), 8)
    return picture.resize((300, 640), Image.Resampling.BOX)


def forest(image: Array, depth: Array, eye: float) -> Array:
    """The image with pines on the slopes and along the shore, hidden where the ground of `depth` is nearer."""
    rng = np.random.default_rng(11)
    kinds = [pine(rng) for _ in range(7)]
    image = image.copy()
    z = np.exp(rng.uniform(np.log(200), np.log(3600), 26000)).astype(np.float32)
    x = rng.uniform(-330, 330, 1400).astype(np.float32)  # a denser fringe along the shore
    z = np.concatenate([z, shore_depth(x) + rng.uniform(2, 70, 1400)])
    x = np.concatenate([rng.uniform(-0.72, 0.72, 26000).astype(np.float32) * z[:26000], x])
    y = mountains(x, z)
    grows = (y > 0.5) & (y < 560 + 260 * noise(x / 300, z / 300))
    grows &= noise(x / 140, z / 260) + 0.5 * noise(x / 30, z / 60) + 0.22 + (z < shore_depth(x) + 80) * 0.2 > 0
    grows &= (np.abs(x - CABIN[0]) > 11) | (z > CABIN[1] + 3)
    tall = (7 + 24 * rng.beta(1.6, 1.6, len(z))) * (1 - 0.35 * step(200, 800, y))
    tone = rng.uniform(0.45, 1.1, len(z))
    larch = (rng.random(len(z)) < 0.12) & (noise(x / 90, z / 90) > -0.1)
    sun = sunshine(mountains, x, z, 1200, 25.0)
    for n in np.argsort(-z):
        if not grows[n]:
            continue
        high = int(tall[n] * FOCAL / z[n])
        wide = max(int(high * 300 / 640), 1)
        left = int(x[n] / z[n] * FOCAL + WIDTH / 2) - wide // 2
        top = int(HORIZON - FOCAL * (y[n] - eye) / z[n]) - high + 1
        if high < 3 or left + wide <= 0 or left >= WIDTH:
            continue
        sprite = np.asarray(kinds[n % 7].resize((wide, high), Image.Resampling.BOX), np.float32) / 255
        cut = (slice(top, top + high), slice(max(left, 0), min(left + wide, WIDTH)))
        sprite = sprite[:, cut[1].start - left : cut[1].stop - left]
        cover = sprite[..., 0] * (depth[cut] > z[n] * 0.96)
        green = mix(np.array([0.030, 0.052, 0.026]), np.array([0.085, 0.105, 0.030]), sprite[..., 2]) * tone[n]
        green = green * (np.array([3.6, 2.0, 0.8]) if larch[n] else 1)
        light = sprite[..., 1:2] * 1.5 * sun[n] * SUNLIGHT + 0.55 * SKYLIGHT
        image[cut] = mix(image[cut], haze(green * light, z[n], y[n] + 8), cover)
    wide = int(12 * FOCAL / CABIN[1])
    house = cabin().resize((wide, wide * 5 // 8), Image.Resampling.BOX)
    left, foot = int(CABIN[0] / CABIN[1] * FOCAL + WIDTH / 2), int(HORIZON - FOCAL * (0.8 - eye) / CABIN[1])
    cut = (slice(foot - house.height, foot), slice(left - wide // 2, left - wide // 2 + wide))
    image[cut] = mix(image[cut], linear(house.convert("RGB")) * 1.3, np.asarray(house, np.float32)[..., 3] / 255)
    return image


def cabin() -> Image.Image:
    """A log cabin of 480 x 300 with lit windows, RGBA."""
    picture = Image.new("RGBA", (480, 300), (96, 62, 40, 0))
    draw = ImageDraw.Draw(picture)
    draw.rectangle([338, 22, 374, 90], (128, 112, 100, 255))
    draw.polygon([(36, 162), (78, 66), (122, 152), (122, 296), (36, 290)], (206, 138, 82, 255))
    draw.rectangle([120, 150, 442, 296], (112, 72, 46, 255))
    for y in range(160, 296, 17):
        draw.line([(36, y - 2), (121, y), (442, y)], (70, 42, 28, 255), 4)
    draw.polygon([(78, 56), (412, 56), (466, 160), (114, 160)], (112, 66, 56, 255))
    draw.line([(78, 56), (114, 160), (20, 168), (78, 56)], (92, 46, 36, 255), 9)
    for x in (170, 352):
        draw.rectangle([x, 184, x + 56, 236], (255, 214, 130, 255), (64, 36, 24, 255), 7)
    draw.rectangle([262, 188, 314, 296], (58, 34, 24, 255))
    return picture


def meadow(image: Array) -> Array:
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
    soft = blur(np.concatenate([linear(Image.fromarray(layer[..., :3])) * cover, cover], -1), 1.6)
    return image * (1 - soft[..., 3:]) + soft[..., :3] * np.array([1.5, 1.25, 0.95], np.float32)


# --- the lake and its near shore -------------------------------------------------------------------------------------


def stones(x: Array, z: Array, size: float, share: float) -> tuple[Array, Array]:
    """Rounded stones, one or none in each cell of `size` metres: their height in metres and a random tint 0..1."""
    x, z = x / size + 7 * size + 4.6, z / size + 0.35
    height, tint = np.zeros(x.shape, np.float32), np.full(x.shape, 0.5, np.float32)
    for a in (0, 1):
        for b in (0, 1):
            i, k = np.floor(x - 0.5).astype(np.int32) + a, np.floor(z - 0.5).astype(np.int32) + b
            r0, r1, r2, r3 = np.moveaxis(TABLE[i & 255, k & 255], -1, 0)
            dx, dz = x - i - 0.3 - 0.4 * r0, z - k - 0.3 - 0.4 * r1
            turn = r2 * 6.283
            dx, dz = dx * np.cos(turn) + dz * np.sin(turn), dz * np.cos(turn) - dx * np.sin(turn)
            radius = 0.26 + 0.24 * ((r0 + r2 * 7) % 1)
            far = np.abs(dx / radius) ** 2.4 + np.abs(dz / (radius * (0.6 + 0.4 * r1))) ** 2.4
            dome = np.clip(1 - far, 0, 1) ** 0.42 * radius * (0.55 + 0.5 * r3) * ((r3 * 13) % 1 < share)
            tint = np.where(dome > height, (r1 + r3 * 5) % 1, tint)
            height = np.maximum(height, dome)
    return height * size, tint


def beach(x: Array, z: Array) -> tuple[Array, Array]:
    """The near shore's height in metres (below 0: under water) and the tint of its stones."""
    line = 6.3 + 1.5 * noise(x / 3.1 + 0.4, z / 5) - 0.16 * x
    ground = 0.13 * (line - z) + 0.05 * fractal(x * 1.3, z * 1.3, 3)
    wx, wz = x + 0.12 * noise(x * 2.3, z * 2.3), z + 0.12 * noise(x * 2.3 + 9, z * 2.3)
    tint = np.full(x.shape, 0.5, np.float32)
    total = ground
    for size, share, sink in ((1.9, 0.34, 0.22), (0.8, 0.5, 0.06), (0.34, 0.8, 0.02), (0.13, 1.0, 0.0)):
        rise, hue = stones(wx, wz, size, share)
        rise = rise * step(1.8, 3.2, z) if size > 0.5 else rise  # no boulder in front of the lens
        rough = fractal(x * 3 / size, z * 3 / size, 5 if size > 0.5 else 3, 0.55)
        top = ground + rise - sink + 0.032 * min(size, 1) * (rough - 0.8 * np.abs(rough))
        mine = (rise > 0) & (top > total)
        total, tint = np.where(mine, top, total), np.where(mine, hue, tint)
    return np.where(total < 0, 0.75 * total, total), tint  # water makes its bed look nearer


def beach_height(x: Array, z: Array) -> Array:
    """`beach` without the tint."""
    return beach(x, z)[0]


def shadows(x: Array, y: Array, z: Array, ask: NDArray[np.bool_]) -> Array:
    """How much of the sun reaches points (n,) of the beach, 0..1, by walking towards it; only where `ask`."""
    sun = np.ones_like(x)
    x, y, z, free = x[ask], y[ask], z[ask], sun[ask]
    for t in (0.015, 0.035, 0.065, 0.11, 0.18, 0.29, 0.46, 0.75, 1.2):
        gap = y + t * SUN[1] - beach_height(x + t * SUN[0], z + t * SUN[2])
        free = np.minimum(free, step(-0.03 * t - 0.002, 0.04 * t + 0.002, gap))
    sun[ask] = free
    return sun


def ripples(x: Array, z: Array, grain: Array) -> tuple[Array, Array, Array]:
    """The water's slopes along x and z, and the deviation of those waves that are finer than a pixel's `grain`."""
    wind = 0.25 + 0.75 * step(-0.35, 0.5, fractal(x / 60 + 2, z / 22, 3))
    sx, sz, rest = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for k, length in enumerate((9.0, 4.1, 1.9, 0.85, 0.4)):
        tilt = 0.0065 * wind * (1.0, 1.1, 1.2, 1.2, 1.0)[k]
        clear = np.exp(-((grain / length) ** 2) * 2)
        u, v = x / (1.7 * length) + 3 * k, z / length + 5 * k
        sx += 0.6 * tilt * clear * noise(u + 40, v) * 2
        sz += tilt * clear * noise(u, v) * 2
        rest += (tilt * (1 - clear)) ** 2
    return sx, sz, np.sqrt(rest)


def near_view(image: Array, mirror: Array) -> Array:
    """The image with the lake, which reflects `mirror` (the scene from below the water), and the stony shore."""
    rng = np.random.default_rng(3)
    depth, _ = trace(over(beach_height, NEAR), NEAR, EYE)
    seen = np.isfinite(depth)
    z = depth[seen]
    x = np.broadcast_to(SIDE, depth.shape)[seen] * z
    y, tint = beach(x, z)
    normal = normals(beach_height, x, z, z / FOCAL * 1.2)
    facing = np.clip(normal @ SUN, 0, None)
    sun = shadows(x, y, z, facing > 0)
    speck = fractal(x * 30, z * 30 + y * 25, 4, 0.7)
    lichen = step(0.15, 0.6, fractal(x * 3.1 + 5, z * 3.1 + 2 * y, 4)) * step(0.1, 0.3, y)
    rock = mix(np.array([0.075, 0.080, 0.092]), np.array([0.30, 0.265, 0.225]), tint)
    rock = mix(rock, np.array([0.25, 0.135, 0.085]), 0.5 * (np.abs(tint - 0.31) < 0.07))
    rock = mix(rock, np.array([0.26, 0.25, 0.10]), 0.55 * lichen) * (1 + 0.35 * speck)[:, None]
    wet = 1 - step(0.02, 0.07, y + 0.02 * speck)
    rock *= (1 - 0.5 * wet)[:, None]
    half = SUN - np.stack([x, y - EYE, z], -1) / np.linalg.norm(np.stack([x, y - EYE, z], -1), axis=-1, keepdims=True)
    half /= np.linalg.norm(half, axis=-1, keepdims=True)
    shine = (0.03 + 0.25 * wet) * np.clip((normal * half).sum(-1), 0, 1) ** 40 * sun
    hollow = 0.55 + 0.45 * normal[:, 1]
    ground = rock * ((facing * sun)[:, None] * SUNLIGHT + hollow[:, None] * SKYLIGHT) + shine[:, None] * SUNLIGHT

    bed = np.zeros_like(image)
    bed[seen] = ground
    under = np.full(depth.shape, 1.2, np.float32)  # metres of water, seen along the ray
    under[seen] = np.clip(-y, 0, None) * 2.6
    net = 1 - np.abs(fractal(x * 1.9 + 8, z * 1.9, 2))
    bed[seen] *= 1 + np.where(y < 0, 1.4 * np.clip(net, 0, 1) ** 8 * np.exp(y * 2), 0)[:, None]

    rows = slice(HORIZON + 1, HEIGHT)
    fall = -RISE[rows, None] + 0 * SIDE
    wz = EYE / fall
    wx = SIDE * wz
    sx, sz, rest = ripples(wx, wz, wz**2 / (FOCAL * EYE))
    row, column = np.arange(HEIGHT)[rows, None] + 0.0, np.arange(WIDTH)[None, :] + 0.0
    glass = np.zeros((*wz.shape, 3), np.float32)
    for _ in range(6):
        tz, tx = sz + rest * rng.standard_normal(wz.shape), sx + 0.5 * rest * rng.standard_normal(wz.shape)
        up = np.abs(fall + 2 * tz)
        glass += pick(mirror, HORIZON - 0.5 - FOCAL * up, column + 2 * FOCAL * tx * (fall + 0.02)) / 6
    through = np.exp(-under[rows][..., None] * np.array([1.9, 0.75, 0.62], np.float32))
    shift = 900 * np.clip(under[rows], 0, 0.25) / wz
    wobble = pick(bed[rows], row - row[0] + shift * sz * 3, column + shift * sx * 3)
    deep = np.array([0.010, 0.040, 0.046], np.float32)
    sight = np.clip(fall / np.sqrt(1 + fall**2) + 1.5 * sz, 0.01, 1)
    fresnel = 0.02 + 0.98 * (1 - sight) ** 5
    water = mix(wobble * through + deep * (1 - through), glass * 0.96, fresnel)
    watery = np.isinf(depth[rows]) | (under[rows] > 0)
    image = image.copy()
    image[rows] = np.where(watery[..., None], water, bed[rows])
    return image


# --- the photograph --------------------------------------------------------------------------------------------------


def compose() -> Array:
    """The whole scene (rows, columns, 3) in linear light, from the far to the near."""
    evening = sky()
    ground = over(mountains, FAR)
    image, depth = far_view(evening, ground, EYE)
    image = forest(image, depth, EYE)
    below, depth_below = far_view(evening, ground, -EYE)
    below = forest(below, depth_below, -EYE)
    # Between the mirrored shore and the horizon there is nothing to reflect: stretch the shore over it.
    shore = HEIGHT - 1 - np.argmax(np.isfinite(depth_below)[::-1], axis=0)
    below = below[np.minimum(np.arange(HEIGHT)[:, None], shore), np.arange(WIDTH)]
    land = np.isfinite(depth) & (np.arange(HEIGHT) > HORIZON)[:, None]
    lake = near_view(image, below)
    image = np.where(land[..., None], image, lake)
    image = meadow(image)
    return finish(image)


def finish(image: Array) -> Array:
    """The image as a small lens and sensor would take it: a little soft, a little glow, darker corners, grain."""
    rng = np.random.default_rng(2)
    image = 0.93 * blur(image, 0.6) + 0.07 * blur(np.clip(image, 0, 3), 22)
    across, down = SIDE[None, :] * FOCAL / WIDTH, (np.arange(HEIGHT)[:, None] / HEIGHT - 0.5)
    image = image * (1 - 0.55 * (across**2 + down**2))[..., None]
    return image * (1 + 0.035 * blur(rng.standard_normal(image.shape[:2]).astype(np.float32), 1.0))[..., None]


def develop(image: Array) -> Image.Image:
    """Linear light to an sRGB picture: a filmic curve, then the transfer curve."""
    grey = image @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    x = np.clip(grey[..., None] + 1.16 * (image - grey[..., None]), 0, None) * 0.84
    x = np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)
    srgb = np.where(x < 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return Image.fromarray((np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8))


def paint() -> Image.Image:
    """The finished picture: sRGB, 2016 x 1512."""
    return develop(compose())


def save(picture: Image.Image, out: Path) -> None:
    """Write the picture as a phone would: HEVC in a HEIC, upright, with maker, model and time, without a position."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "ArtDream", "Painter"
    exif[ExifTags.Base.Orientation] = 1
    exif[ExifTags.Base.DateTime] = TAKEN
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = TAKEN
    pillow_heif.from_pillow(picture).save(out, quality=QUALITY, exif=exif.tobytes())


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("lake.heic")
    save(paint(), target)
