"""All that is beyond the water: mountains, clouds, sky, forest, and a cabin in it."""

import numpy as np
from PIL import Image, ImageDraw

from tools.sample_photo.field import (
    COLUMN_SLOPES,
    EYE_HEIGHT,
    FAR_DEPTHS,
    FOCAL_LENGTH,
    HAZE_COLOR,
    HORIZON_ROW,
    ROW_SLOPES,
    SKYLIGHT,
    SUN_DIRECTION,
    SUNLIGHT,
    WIDTH,
    Array,
    compute_normals,
    compute_sunlight,
    fractal_noise,
    gradient_noise,
    mix,
    ridged_noise,
    smoothstep,
    trace_ground,
)


def compute_mountain_height(x: Array, z: Array) -> Array:
    """The far shore, its hills and the range behind them."""
    bend = 260 * fractal_noise(x / 900, z / 900, 3)
    wx, wz = x + bend, z - 0.6 * bend
    shore = z - compute_shore_depth(x)
    valley = np.abs(x + 0.10 * z - 150)
    relief = 120 * smoothstep(60, 900, shore) + 520 * smoothstep(0.10, 0.62, valley / z) * smoothstep(300, 2600, shore)
    relief += 1500 * smoothstep(2300, 6500, z) * (0.45 + 0.55 * smoothstep(0.0, 0.5, valley / z))
    crests = ridged_noise(wx / 2300 + 3.3, wz / 2300 + 8.1, 10)
    hero = 2150 * np.clip(1 - np.hypot(wx - 750, 0.8 * (wz - 6900)) / 2600, 0, 1) ** 1.7
    hero += 1250 * np.clip(1 - np.hypot(x + 2300, 0.8 * (z - 7600)) / 1900, 0, 1)
    height = relief * (0.15 + 1.05 * crests) + hero * (0.75 + 0.35 * crests)
    return np.where(shore > 0, 0.4 + 0.02 * np.minimum(shore, 200) + height, -8 + 0 * height)


def compute_shore_depth(x: Array) -> Array:
    """How far away the lake's far shore is at x, in metres."""
    return (
        420
        + 110 * gradient_noise(x / 260 + 4.2, 0 * x)
        + 20 * gradient_noise(x / 40, 0 * x + 5)
        - 200 * smoothstep(40, 190, x)
    )


def render_far_view(sky: Array, ground: Array, eye_height: float) -> tuple[Array, Array]:
    """The sky with the mountains in front, and each pixel's depth in metres (inf: sky)."""
    depth, cover = trace_ground(ground, FAR_DEPTHS, eye_height)
    depth[ROW_SLOPES[:, None] * np.where(np.isinf(depth), 1, depth) + eye_height < 0.1] = (
        np.inf
    )  # what lies under the lake
    seen = np.isfinite(depth)
    z = depth[seen]
    x = np.broadcast_to(COLUMN_SLOPES, depth.shape)[seen] * z
    reach = np.maximum(z / FOCAL_LENGTH * 1.2, 0.5)
    y = compute_mountain_height(x, z)
    normal = compute_normals(compute_mountain_height, x, z, reach)
    lit = compute_sunlight(compute_mountain_height, x, z, 1500, 25.0) * np.clip(normal @ SUN_DIRECTION, 0, None)
    grain = fractal_noise(x / 60, z / 60 + y / 35, 5)
    layers = 0.5 + 0.5 * np.sin(y / 26 + 3 * grain + x / 400)
    rock = mix(
        np.array([0.085, 0.078, 0.080]), np.array([0.23, 0.19, 0.165]), np.clip(0.5 + 0.5 * grain, 0, 1) * layers
    )
    meadow = mix(np.array([0.055, 0.085, 0.022]), np.array([0.15, 0.15, 0.045]), np.clip(0.5 + 0.6 * grain, 0, 1))
    flat = normal[:, 1]
    colour = mix(
        rock, meadow, smoothstep(0.62, 0.85, flat + 0.12 * grain) * (1 - smoothstep(450, 850, y + 200 * grain))
    )
    snow = smoothstep(0.46, 0.60, flat + 0.20 * grain + (y - 1350) / 3000) * smoothstep(550, 1000, y + 260 * grain)
    colour = mix(colour, np.array([0.86, 0.88, 0.92]), snow)
    light = lit[:, None] * SUNLIGHT + (0.45 + 0.55 * flat[:, None]) * SKYLIGHT
    image = sky.copy()
    image[seen] = mix(sky[seen], apply_haze(colour * light, z, y), cover[seen])
    return image, depth


def apply_haze(color: Array, z: Array, y: Array) -> Array:
    """Colours (n, 3) as seen through z metres of air at height y: mist lies low over the water."""
    clear = np.exp(-z / 34000 - z / 10500 * np.exp(-np.clip(y, 0, None) / 420))
    return mix(color, HAZE_COLOR * np.array([1.0, 0.98, 0.98]), 1 - clear)


def volume_noise(rng: np.random.Generator, shape: tuple[int, int, int], feature_size: float) -> Array:
    """Smooth random numbers of a volume, features `cells` voxels wide, mean 0 and deviation about 1."""
    volume = rng.standard_normal([int(n / feature_size) + 4 for n in shape]).astype(np.float32)
    for axis, n in enumerate(shape):
        at = np.arange(n) / feature_size + 1
        k = at.astype(int)
        f = (at - k).astype(np.float32)
        lens = np.zeros((n, volume.shape[axis]), np.float32)
        weights = ((1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3)
        for offset, weight in enumerate(weights):
            lens[np.arange(n), k - 1 + offset] = weight / 6
        volume = np.moveaxis(np.tensordot(lens, volume, (1, axis)), 0, axis)
    return volume * 3


def render_clouds(image: Array) -> Array:
    """The sky with cumulus in front: a lit volume of voxels, seen slice by slice from near to far."""
    voxel, base, first = 52.0, 1900.0, 9000.0
    shape = (290, 84, 620)  # z, y, x
    rng = np.random.default_rng(2)
    density: Array = np.zeros(shape, np.float32)
    for cells, weight in ((70.0, 0.55), (30.0, 0.33)):  # where clouds stand
        density += weight * volume_noise(rng, shape, cells)
    for cells, weight in ((17, 0.36), (8.5, 0.22), (4.5, 0.11), (2.2, 0.05)):  # creases between their billows
        density -= weight * np.abs(volume_noise(rng, shape, cells))
    y = np.arange(shape[1], dtype=np.float32)[None, :, None] / shape[1]
    density = np.clip(5 * (density + 0.57 - 1.5 * y - smoothstep(-0.16, 0.0, -y)), 0, 1)
    shade = np.zeros_like(density)  # optical depth towards the sun, which stands to the left (-x), up and near (-z)
    for k in range(1, shape[2]):
        before = shade[:, :, k - 1] + density[:, :, k - 1]
        before = 0.59 * before + 0.41 * np.roll(before, -1, axis=1)
        shade[:, :, k] = 0.37 * before + 0.63 * np.roll(before, 1, axis=0)
    through = np.ones(image.shape[:2], np.float32)
    glow = np.zeros_like(image)
    for s in range(shape[0]):
        z = first + s * voxel
        row, column = (
            (ROW_SLOPES * z + EYE_HEIGHT - base) / voxel,
            np.clip(COLUMN_SLOPES * z / voxel + shape[2] / 2, 0, shape[2] - 1.01),
        )
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
        glow[part] += block[..., None] * mix(
            colour, HAZE_COLOR, np.full(block.shape, 1 - np.exp(-z / 34000), np.float32)
        )
        through[part] -= block
    return image * through[..., None] + glow


def render_sky() -> Array:
    """The evening sky (rows, columns, 3): blue above, warm where the sun is, thin streaks of cirrus, cumulus."""
    rise, side = np.clip(ROW_SLOPES, 0.002, None)[:, None], COLUMN_SLOPES[None, :]
    up = np.clip(rise / 0.5, 0, 1) ** 0.62 + 0 * side
    image = mix(np.array([0.78, 0.62, 0.52], np.float32), np.array([0.10, 0.20, 0.44], np.float32), up)
    image = mix(image, np.array([1.05, 0.74, 0.46], np.float32), 0.55 * np.exp(-((side + 0.75) ** 2) * 3 - rise * 5))
    x, z = side / (rise + 0.05), 1 / (rise + 0.05)
    warp = fractal_noise(x / 2, z / 2, 3)
    veil = fractal_noise(x * 0.55 + warp, z * 1.5 + 0.5 * x + 0.7 * warp + 3, 6, 0.6)
    image = mix(
        image, np.array([1.1, 0.82, 0.66], np.float32), 0.5 * smoothstep(0.0, 1.1, veil) * smoothstep(0.02, 0.25, rise)
    )
    return render_clouds(image.astype(np.float32))


CABIN_POSITION = (84.0, 332.0)  # x and z of its middle


def to_linear_light(picture: Image.Image) -> Array:
    """An sRGB(A) picture as linear light, 0..1."""
    x = np.asarray(picture, np.float32) / 255
    return np.where(x < 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def draw_pine(rng: np.random.Generator) -> Image.Image:
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


def render_forest(image: Array, depth: Array, eye_height: float) -> Array:
    """The image with pines on the slopes and along the shore, hidden where the ground of `depth` is nearer."""
    rng = np.random.default_rng(11)
    kinds = [draw_pine(rng) for _ in range(7)]
    image = image.copy()
    z = np.exp(rng.uniform(np.log(200), np.log(3600), 26000)).astype(np.float32)
    x = rng.uniform(-330, 330, 1400).astype(np.float32)  # a denser fringe along the shore
    z = np.concatenate([z, compute_shore_depth(x) + rng.uniform(2, 70, 1400)])
    x = np.concatenate([rng.uniform(-0.72, 0.72, 26000).astype(np.float32) * z[:26000], x])
    y = compute_mountain_height(x, z)
    grows = (y > 0.5) & (y < 560 + 260 * gradient_noise(x / 300, z / 300))
    grows &= (
        gradient_noise(x / 140, z / 260)
        + 0.5 * gradient_noise(x / 30, z / 60)
        + 0.22
        + (z < compute_shore_depth(x) + 80) * 0.2
        > 0
    )
    grows &= (np.abs(x - CABIN_POSITION[0]) > 11) | (z > CABIN_POSITION[1] + 3)
    tall = (7 + 24 * rng.beta(1.6, 1.6, len(z))) * (1 - 0.35 * smoothstep(200, 800, y))
    tone = rng.uniform(0.45, 1.1, len(z))
    larch = (rng.random(len(z)) < 0.12) & (gradient_noise(x / 90, z / 90) > -0.1)
    sun = compute_sunlight(compute_mountain_height, x, z, 1200, 25.0)
    for n in np.argsort(-z):
        if not grows[n]:
            continue
        high = int(tall[n] * FOCAL_LENGTH / z[n])
        wide = max(int(high * 300 / 640), 1)
        left = int(x[n] / z[n] * FOCAL_LENGTH + WIDTH / 2) - wide // 2
        top = int(HORIZON_ROW - FOCAL_LENGTH * (y[n] - eye_height) / z[n]) - high + 1
        if high < 3 or left + wide <= 0 or left >= WIDTH:
            continue
        sprite = np.asarray(kinds[n % 7].resize((wide, high), Image.Resampling.BOX), np.float32) / 255
        cut = (slice(top, top + high), slice(max(left, 0), min(left + wide, WIDTH)))
        sprite = sprite[:, cut[1].start - left : cut[1].stop - left]
        cover = sprite[..., 0] * (depth[cut] > z[n] * 0.96)
        green = mix(np.array([0.030, 0.052, 0.026]), np.array([0.085, 0.105, 0.030]), sprite[..., 2]) * tone[n]
        green = green * (np.array([3.6, 2.0, 0.8]) if larch[n] else 1)
        light = sprite[..., 1:2] * 1.5 * sun[n] * SUNLIGHT + 0.55 * SKYLIGHT
        image[cut] = mix(image[cut], apply_haze(green * light, z[n], y[n] + 8), cover)
    wide = int(12 * FOCAL_LENGTH / CABIN_POSITION[1])
    house = draw_cabin().resize((wide, wide * 5 // 8), Image.Resampling.BOX)
    left, foot = (
        int(CABIN_POSITION[0] / CABIN_POSITION[1] * FOCAL_LENGTH + WIDTH / 2),
        int(HORIZON_ROW - FOCAL_LENGTH * (0.8 - eye_height) / CABIN_POSITION[1]),
    )
    cut = (slice(foot - house.height, foot), slice(left - wide // 2, left - wide // 2 + wide))
    image[cut] = mix(
        image[cut], to_linear_light(house.convert("RGB")) * 1.3, np.asarray(house, np.float32)[..., 3] / 255
    )
    return image


def draw_cabin() -> Image.Image:
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
