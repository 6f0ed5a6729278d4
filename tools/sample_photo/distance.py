"""All that is beyond the water: mountains, clouds, sky, forest, and a cabin in it."""

import numpy as np
from PIL import Image, ImageDraw

from tools.sample_photo.field import (
    EYE,
    FAR,
    FOCAL,
    HAZE,
    HORIZON,
    RISE,
    SIDE,
    SKYLIGHT,
    SUN,
    SUNLIGHT,
    WIDTH,
    Array,
    fractal,
    mix,
    noise,
    normals,
    ridges,
    step,
    sunshine,
    trace,
)


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
