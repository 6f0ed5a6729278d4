"""Everything beyond the water: mountains, clouds, sky, forest, and a cabin."""

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
    """Return the height in metres of the far shore, its hills and the mountain range behind them."""
    bend = 260 * fractal_noise(x / 900, z / 900, 3)
    wx, wz = x + bend, z - 0.6 * bend
    shore = z - compute_shore_depth(x)
    valley = np.abs(x + 0.10 * z - 150)
    relief = 120 * smoothstep(60, 900, shore) + 520 * smoothstep(0.10, 0.62, valley / z) * smoothstep(300, 2600, shore)
    relief += 1500 * smoothstep(2300, 6500, z) * (0.45 + 0.55 * smoothstep(0.0, 0.5, valley / z))
    crests = ridged_noise(wx / 2300 + 3.3, wz / 2300 + 8.1, 10)
    summits = 2150 * np.clip(1 - np.hypot(wx - 750, 0.8 * (wz - 6900)) / 2600, 0, 1) ** 1.7
    summits += 1250 * np.clip(1 - np.hypot(x + 2300, 0.8 * (z - 7600)) / 1900, 0, 1)
    height = relief * (0.15 + 1.05 * crests) + summits * (0.75 + 0.35 * crests)
    return np.where(shore > 0, 0.4 + 0.02 * np.minimum(shore, 200) + height, -8 + 0 * height)


def compute_shore_depth(x: Array) -> Array:
    """Return the distance of the lake's far shore at x, in metres."""
    return (
        420
        + 110 * gradient_noise(x / 260 + 4.2, 0 * x)
        + 20 * gradient_noise(x / 40, 0 * x + 5)
        - 200 * smoothstep(40, 190, x)
    )


def render_far_view(sky: Array, ground: Array, eye_height: float) -> tuple[Array, Array]:
    """Return the sky with the mountains in front, and the depth of each pixel in metres (inf: sky).

    ground: heights from `sample_columns` at FAR_DEPTHS. eye_height: metres; negative for the mirrored view from below
    the water.
    """
    depth, coverage = trace_ground(ground, FAR_DEPTHS, eye_height)
    # Remove the ground under the lake.
    depth[ROW_SLOPES[:, None] * np.where(np.isinf(depth), 1, depth) + eye_height < 0.1] = np.inf
    is_ground = np.isfinite(depth)
    z = depth[is_ground]
    x = np.broadcast_to(COLUMN_SLOPES, depth.shape)[is_ground] * z
    sample_distance = np.maximum(z / FOCAL_LENGTH * 1.2, 0.5)
    y = compute_mountain_height(x, z)
    normal = compute_normals(compute_mountain_height, x, z, sample_distance)
    sunlight = compute_sunlight(compute_mountain_height, x, z, 1500, 25.0) * np.clip(normal @ SUN_DIRECTION, 0, None)
    grain = fractal_noise(x / 60, z / 60 + y / 35, 5)
    layers = 0.5 + 0.5 * np.sin(y / 26 + 3 * grain + x / 400)
    rock = mix(
        np.array([0.085, 0.078, 0.080]), np.array([0.23, 0.19, 0.165]), np.clip(0.5 + 0.5 * grain, 0, 1) * layers
    )
    meadow = mix(np.array([0.055, 0.085, 0.022]), np.array([0.15, 0.15, 0.045]), np.clip(0.5 + 0.6 * grain, 0, 1))
    flatness = normal[:, 1]
    color = mix(
        rock, meadow, smoothstep(0.62, 0.85, flatness + 0.12 * grain) * (1 - smoothstep(450, 850, y + 200 * grain))
    )
    snow = smoothstep(0.46, 0.60, flatness + 0.20 * grain + (y - 1350) / 3000) * smoothstep(550, 1000, y + 260 * grain)
    color = mix(color, np.array([0.86, 0.88, 0.92]), snow)
    light = sunlight[:, None] * SUNLIGHT + (0.45 + 0.55 * flatness[:, None]) * SKYLIGHT
    image = sky.copy()
    image[is_ground] = mix(sky[is_ground], apply_haze(color * light, z, y), coverage[is_ground])
    return image, depth


def apply_haze(color: Array, z: Array, y: Array) -> Array:
    """Return colours (n, 3) seen through z metres of air at height y; mist is dense just above the water."""
    transmittance = np.exp(-z / 34000 - z / 10500 * np.exp(-np.clip(y, 0, None) / 420))
    return mix(color, HAZE_COLOR * np.array([1.0, 0.98, 0.98]), 1 - transmittance)


def volume_noise(rng: np.random.Generator, shape: tuple[int, int, int], feature_size: float) -> Array:
    """Return smooth random numbers in a volume, with mean 0 and deviation about 1.

    feature_size: width of the features in voxels.
    """
    volume = rng.standard_normal([int(n / feature_size) + 4 for n in shape]).astype(np.float32)
    for axis, n in enumerate(shape):
        position = np.arange(n) / feature_size + 1
        k = position.astype(int)
        f = (position - k).astype(np.float32)
        interpolation = np.zeros((n, volume.shape[axis]), np.float32)
        weights = ((1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3)
        for offset, weight in enumerate(weights):
            interpolation[np.arange(n), k - 1 + offset] = weight / 6
        volume = np.moveaxis(np.tensordot(interpolation, volume, (1, axis)), 0, axis)
    return volume * 3


def render_clouds(image: Array) -> Array:
    """Return the sky with cumulus in front: a lit volume of voxels, rendered in slices from near to far."""
    voxel_size, base_height, first_depth = 52.0, 1900.0, 9000.0
    shape = (290, 84, 620)  # z, y, x
    rng = np.random.default_rng(2)
    density: Array = np.zeros(shape, np.float32)
    for feature_size, weight in ((70.0, 0.55), (30.0, 0.33)):  # positions of clouds
        density += weight * volume_noise(rng, shape, feature_size)
    for feature_size, weight in ((17, 0.36), (8.5, 0.22), (4.5, 0.11), (2.2, 0.05)):  # creases between their billows
        density -= weight * np.abs(volume_noise(rng, shape, feature_size))
    y = np.arange(shape[1], dtype=np.float32)[None, :, None] / shape[1]
    density = np.clip(5 * (density + 0.57 - 1.5 * y - smoothstep(-0.16, 0.0, -y)), 0, 1)
    shade = np.zeros_like(density)  # optical depth towards the sun, at the left (-x), above and in front (-z)
    for k in range(1, shape[2]):
        previous = shade[:, :, k - 1] + density[:, :, k - 1]
        previous = 0.59 * previous + 0.41 * np.roll(previous, -1, axis=1)
        shade[:, :, k] = 0.37 * previous + 0.63 * np.roll(previous, 1, axis=0)
    transmittance = np.ones(image.shape[:2], np.float32)
    glow = np.zeros_like(image)
    for s in range(shape[0]):
        z = first_depth + s * voxel_size
        row, column = (
            (ROW_SLOPES * z + EYE_HEIGHT - base_height) / voxel_size,
            np.clip(COLUMN_SLOPES * z / voxel_size + shape[2] / 2, 0, shape[2] - 1.01),
        )
        rows = np.flatnonzero((row > 0) & (row < shape[1] - 1))
        if not len(rows):
            continue
        grid = np.stack([density[s], shade[s]], -1)
        r, c = row[rows].astype(int), column.astype(int)
        fr, fc = (row[rows] - r)[:, None, None].astype(np.float32), (column - c)[None, :, None].astype(np.float32)
        lines = grid[r] * (1 - fr) + grid[r + 1] * fr
        values = lines[:, c] * (1 - fc) + lines[:, c + 1] * fc
        visible_rows = slice(rows[0], rows[-1] + 1)
        opacity = transmittance[visible_rows] * (1 - np.exp(-1.1 * values[..., 0]))
        sun = 0.75 * np.exp(-0.38 * values[..., 1]) + 0.25 * np.exp(-0.05 * values[..., 1])
        relative_height = (row[rows] / shape[1])[:, None, None].astype(np.float32)
        color = sun[..., None] * SUNLIGHT * 0.56 + SKYLIGHT * (0.45 + 0.9 * relative_height)
        glow[visible_rows] += opacity[..., None] * mix(
            color, HAZE_COLOR, np.full(opacity.shape, 1 - np.exp(-z / 34000), np.float32)
        )
        transmittance[visible_rows] -= opacity
    return image * transmittance[..., None] + glow


def render_sky() -> Array:
    """Return the evening sky (rows, columns, 3): blue above, warm near the sun, with streaks of cirrus, and cumulus."""
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


CABIN_POSITION = (84.0, 332.0)  # x and z of its centre, in metres


def to_linear_light(picture: Image.Image) -> Array:
    """Convert an sRGB(A) picture to linear light, 0..1."""
    x = np.asarray(picture, np.float32) / 255
    return np.where(x < 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def draw_pine(rng: np.random.Generator) -> Image.Image:
    """Draw one pine, 300 x 640: red is coverage, green is sunlight, blue is the tone of the needles."""
    width, height = 900, 1920
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    draw.polygon([(width / 2 - 14, height), (width / 2, 30), (width / 2 + 14, height)], (255, 60, 0))
    spread = rng.uniform(0.36, 0.46) * width
    for t in np.linspace(0.06, 0.985, 46):
        branch_length = spread * (1 - t) ** 0.8 * rng.uniform(0.7, 1.1) + 8
        azimuths = rng.uniform(0, 2 * np.pi, 13)
        for azimuth in azimuths[np.argsort(-np.sin(azimuths))]:  # the far side first; sin < 0 is near
            dx, dz = np.cos(azimuth), np.sin(azimuth)
            sun = np.clip(0.30 - 0.60 * dx - 0.38 * dz, 0.02, 1) * (0.55 + 0.45 * t)
            length = branch_length * rng.uniform(0.7, 1.1)
            for part in np.linspace(0.12, 1, 9):
                x = width / 2 + dx * length * part
                y = height * (1 - t) + length * (0.42 * part**1.5 - 0.25 * part - 0.14 * dz * part)
                for _ in range(3):
                    light = np.clip(sun * (0.4 + 0.8 * part) * rng.uniform(0.5, 1.2), 0, 1)
                    tip = (x + dx * 26 + rng.normal(0, 13), y + rng.uniform(8, 44) * (1.1 - 0.7 * t))
                    draw.line([(x, y - 6), tip], (255, int(255 * light), int(rng.integers(60, 220))), 8)
    return picture.resize((300, 640), Image.Resampling.BOX)


def render_forest(image: Array, depth: Array, eye_height: float) -> Array:
    """Return the image with pines on the slopes and along the shore, hidden behind ground that is nearer.

    depth: of the ground at each pixel, in metres.
    """
    rng = np.random.default_rng(11)
    pines = [draw_pine(rng) for _ in range(7)]
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
    tree_height = (7 + 24 * rng.beta(1.6, 1.6, len(z))) * (1 - 0.35 * smoothstep(200, 800, y))
    tone = rng.uniform(0.45, 1.1, len(z))
    larch = (rng.random(len(z)) < 0.12) & (gradient_noise(x / 90, z / 90) > -0.1)
    sun = compute_sunlight(compute_mountain_height, x, z, 1200, 25.0)
    for n in np.argsort(-z):
        if not grows[n]:
            continue
        pixel_height = int(tree_height[n] * FOCAL_LENGTH / z[n])
        pixel_width = max(int(pixel_height * 300 / 640), 1)
        left = int(x[n] / z[n] * FOCAL_LENGTH + WIDTH / 2) - pixel_width // 2
        top = int(HORIZON_ROW - FOCAL_LENGTH * (y[n] - eye_height) / z[n]) - pixel_height + 1
        if pixel_height < 3 or left + pixel_width <= 0 or left >= WIDTH:
            continue
        sprite = np.asarray(pines[n % 7].resize((pixel_width, pixel_height), Image.Resampling.BOX), np.float32) / 255
        region = (slice(top, top + pixel_height), slice(max(left, 0), min(left + pixel_width, WIDTH)))
        sprite = sprite[:, region[1].start - left : region[1].stop - left]
        coverage = sprite[..., 0] * (depth[region] > z[n] * 0.96)
        green = mix(np.array([0.030, 0.052, 0.026]), np.array([0.085, 0.105, 0.030]), sprite[..., 2]) * tone[n]
        green = green * (np.array([3.6, 2.0, 0.8]) if larch[n] else 1)
        light = sprite[..., 1:2] * 1.5 * sun[n] * SUNLIGHT + 0.55 * SKYLIGHT
        image[region] = mix(image[region], apply_haze(green * light, z[n], y[n] + 8), coverage)
    pixel_width = int(12 * FOCAL_LENGTH / CABIN_POSITION[1])
    cabin = draw_cabin().resize((pixel_width, pixel_width * 5 // 8), Image.Resampling.BOX)
    left = int(CABIN_POSITION[0] / CABIN_POSITION[1] * FOCAL_LENGTH + WIDTH / 2)
    bottom = int(HORIZON_ROW - FOCAL_LENGTH * (0.8 - eye_height) / CABIN_POSITION[1])
    region = (
        slice(bottom - cabin.height, bottom),
        slice(left - pixel_width // 2, left - pixel_width // 2 + pixel_width),
    )
    image[region] = mix(
        image[region], to_linear_light(cabin.convert("RGB")) * 1.3, np.asarray(cabin, np.float32)[..., 3] / 255
    )
    return image


def draw_cabin() -> Image.Image:
    """Draw a log cabin with lit windows, RGBA, 480 x 300."""
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
