"""A leaded window: panes of ruby, amber, emerald and cobalt glass around a low sun, lit from behind."""

import numpy as np
from PIL import Image

from tools.house_artworks.canvas import PaintCanvas
from tools.house_artworks.noise import Array, gaussian_blur, hex_to_rgb, mix, random_field, sample_gradient, smoothstep

WIDTH, HEIGHT, SEED = 640, 768, 5
LEAD = hex_to_rgb("0d0d10")[0]
SUN = hex_to_rgb("fff3b0", "ffd84a", "ffad1f", "ff7a12")
DAWN = hex_to_rgb("ffb422", "ff6a14", "e5191d", "b00a38", "7d0f63", "44209a", "1d34b5", "0f55c8", "0a2f86")
HILLS = hex_to_rgb("0b6b47", "0f9a55", "4fc044", "b6dc34", "129aa0")
RIVER = hex_to_rgb("12a7b8", "0c6fc4", "55d6cf", "b8f2e6", "ffc94d", "0a3f8f")
PETALS = hex_to_rgb("e0123f", "ff2f7d", "ff86ab", "8a1fd0", "c26bff", "f7e6ff", "ffd02a")
STEMS = hex_to_rgb("0f8040", "35b548", "a0d83c")
SUN_CENTER, HORIZON = (0.60, 0.40), 0.66  # shares of the width


def paint() -> Image.Image:
    """Paint the picture and return it: sRGB, 640 x 768."""
    canvas = PaintCanvas(WIDTH, HEIGHT, LEAD, SEED)
    label, tint, mark = lay_out_panes(canvas)
    edge = np.zeros(canvas.shape, np.float32)
    edge[1:] = label[1:] != label[:-1]
    edge[:, 1:] = np.maximum(edge[:, 1:], label[:, 1:] != label[:, :-1])
    canvas.color = shade_glass(canvas, label, tint, mark, gaussian_blur(edge, 14) * 35)
    paint_leading(canvas, gaussian_blur(edge, 4.5) * 11.2)
    return canvas.render(0.30)


def lay_out_panes(canvas: PaintCanvas) -> tuple[Array, Array, Array]:
    """Return, for each pixel, the pane (a number), its colour, and the paint on the glass (0: none, 1: opaque)."""
    rng, shape = canvas.rng, canvas.shape
    x = canvas.x / canvas.width + 0.006 * random_field(rng, shape, 160)
    y = canvas.y / canvas.width + 0.006 * random_field(rng, shape, 160)
    dx, dy = x - SUN_CENTER[0], y - SUN_CENTER[1]
    distance, turn = np.hypot(dx, dy), np.arctan2(dy, dx) / (2 * np.pi) + 0.5
    ring = np.searchsorted(np.array([0.045, 0.085, 0.135, 0.20, 0.28, 0.37, 0.47, 0.59, 0.73]), distance)
    count = np.array([1, 6, 12, 12, 24, 24, 24, 48, 48, 48])[ring]
    spin = np.array([0.0, 0.1, 0.5, 0.0, 0.5, 0.1, 0.6, 0.2, 0.7, 0.3])[ring]
    slot = np.floor(turn * count + spin + 0.30 * np.sin(14 * distance) * (ring > 3)) % count
    label = 100.0 * ring + slot
    shade = ring * 0.105 - 0.20 + 0.05 * random_per_pane(rng, label)
    tint = sample_gradient(DAWN, shade)
    tint = np.where((ring < 3)[..., None], sample_gradient(SUN, 0.33 * ring + 0.12 * random_per_pane(rng, label)), tint)
    mark = np.where(ring == 3, 0.55 * (np.cos(2 * np.pi * (turn * count + spin)) > 0.55), 0.0)
    hills = (
        (HORIZON + 0.06 * np.sin(6 * x + 0.5) - 0.05 * x, 11.0, 0.0),
        (HORIZON + 0.09 + 0.05 * np.sin(7.5 * x + 2.6), 9.0, 0.3),
    )
    for k, (crest, pitch, shift) in enumerate(hills):
        band = np.floor((y - crest) / 0.042 + 0.35 * np.sin(9 * x + k))
        cut = np.floor(pitch * x + 0.5 * band + 1.6 * (y - crest))
        pane = 2000 + 1000 * k + 40 * band + cut
        hill = y > crest
        label = np.where(hill, pane, label)
        tint = np.where(
            hill[..., None], sample_gradient(HILLS, 0.16 * band + shift + 0.22 * random_per_pane(rng, pane)), tint
        )
        mark = np.where(hill, 0, mark)
    bend = 0.56 + 0.16 * np.sin(7 * (y - 0.70)) * (y - 0.55)
    half_width = 0.030 + 0.62 * np.clip(y - HORIZON - 0.04, 0, 1) ** 1.25
    across = (x - bend) / half_width
    flow = np.floor((1.5 + 2.5 * smoothstep(0.78, 0.80, y)) * (across + 0.25 * np.sin(16 * y)))
    cut = np.floor(13 * np.clip(y, 0.5, 2) ** 0.8 + 0.9 * random_per_pane(rng, flow + 50) + 0.25 * np.sin(30 * x))
    pane = 6000 + 60 * flow + cut
    river = (np.abs(across) < 1) & (y > HORIZON + 0.035)
    glint = np.exp(-((x - SUN_CENTER[0]) ** 2) / 0.012) * (random_per_pane(rng, pane + 7) > 0.1)
    water = mix(sample_gradient(RIVER[:4], 0.5 + 0.5 * random_per_pane(rng, pane)), RIVER[4], glint)
    label, mark = np.where(river, pane + 700 * (y > 0.79), label), np.where(river, 0, mark)
    return paint_irises(canvas, x, y, label, np.where(river[..., None], water, tint), mark)


def random_per_pane(rng: np.random.Generator, label: Array) -> Array:
    """Return a random number in -1..1 for every pane, at each of its pixels."""
    return rng.uniform(-1, 1, 8192).astype(np.float32)[label.astype(np.int64) % 8192]


def paint_irises(
    canvas: PaintCanvas, x: Array, y: Array, label: Array, tint: Array, mark: Array
) -> tuple[Array, Array, Array]:
    """Add irises in the foreground (leaves, and six petals around a yellow heart), and a border around the window.

    x, y: as shares of the width. label, tint, mark: what `lay_out_panes` has so far; returns them with the irises.
    """
    rng, height = canvas.rng, canvas.height / canvas.width
    plants = ((0.10, 0.77), (0.245, 0.90), (0.90, 0.80), (0.765, 0.95), (0.05, 1.01), (0.955, 1.02), (0.36, 1.06))
    for k, (px, py) in enumerate(plants):
        for blade in range(3):
            lean, top = rng.uniform(-0.10, 0.10), py + (0.03, 0.10, 0.13)[blade]
            along = np.clip((y - top) / (height - top + 1e-6), 0, 1)
            center = px + (lean * (1 - along) ** 1.6 if blade else 0.0 * along)
            leaf = (np.abs(x - center) < (0.019 if blade else 0.008) * np.sqrt(along) * 1.2) & (y > top)
            pane = 9000 + 100 * k + 10 * blade + np.floor(along * 3 + blade * 0.4)
            label = np.where(leaf, pane, label)
            tint = np.where(leaf[..., None], sample_gradient(STEMS, 0.5 + 0.5 * random_per_pane(rng, pane)), tint)
            mark = np.where(leaf, 0, mark)
        dx, dy = x - px, (y - py) * 1.05
        distance, turn = np.hypot(dx, dy), np.arctan2(dy, dx) + rng.uniform(0, 1)
        petal = np.floor(turn / (2 * np.pi) * 6) % 6
        lobe = np.abs(np.sin(turn * 3))
        petal_length = 0.082 * (0.55 + 0.45 * lobe**0.6) * (1 - 0.1 * (petal % 2))
        bloom = distance < petal_length
        hue = sample_gradient(
            PETALS[:3] if k % 2 else PETALS[3:6], 0.35 + 0.45 * (petal % 2) + 0.25 * random_per_pane(rng, petal + k)
        )
        heart = distance < 0.022
        label = np.where(bloom, 9900 + 10 * k + np.where(heart, 9, petal), label)
        tint = np.where(bloom[..., None], np.where(heart[..., None], PETALS[6], hue), tint)
        veins = 0.6 * (np.abs(np.sin(turn * 12)) < 0.22) * (distance > 0.028) * (distance < 0.75 * petal_length)
        mark = np.where(bloom, veins, mark)
    border_distance = np.minimum(np.minimum(x, 1 - x), np.minimum(y, height - y))
    border_position = np.where(np.minimum(x, 1 - x) < np.minimum(y, height - y), y, x)
    block = np.floor(border_position / 0.0625)
    frame = border_distance < 0.034
    edging = mix(DAWN[2], DAWN[6], (block % 2).astype(np.float32)) * (1 + 0.25 * random_per_pane(rng, block))[..., None]
    edging = np.where((block % 4 == 1)[..., None], SUN[2], edging)
    label = np.where(frame, 12000 + block + 500 * (x < 0.5) + 250 * (y < 0.5), label)
    return label, np.where(frame[..., None], edging, tint), np.where(frame, 0, mark)


def shade_glass(canvas: PaintCanvas, label: Array, tint: Array, mark: Array, edge_shade: Array) -> Array:
    """Return the light through the panes: streaks, different in each pane, and bubbles, dimmer towards the lead.

    edge_shade: closeness to the lead, 0..1.
    """
    rng, shape = canvas.rng, canvas.shape
    streak_fields = [random_field(rng, shape, cell, 3) for cell in ((12, 150), (150, 12), (40, 40))]
    streak = np.choose((np.floor(label) % 3).astype(np.int64), streak_fields)
    wave = random_field(rng, shape, 34, 3)
    tone = 1.02 + 0.20 * random_per_pane(rng, label + 31) + 0.17 * streak + 0.07 * wave
    grey = tint.mean(-1, keepdims=True)
    vivid = np.clip(grey + (tint - grey) * (1.1 + 0.10 * streak[..., None]), 0.015, 1)
    light = vivid ** (1.15 / np.clip(tone, 0.5, 1.7))[..., None]
    sun_distance = np.hypot(canvas.x / canvas.width - SUN_CENTER[0], canvas.y / canvas.width - SUN_CENTER[1])
    light = light * (1.10 - 0.16 * np.clip(sun_distance, 0, 1.2))[..., None]
    # Thin places are almost white.
    light = mix(light, 0.45 + 0.6 * light, 0.55 * smoothstep(1.1, 2.6, streak + 0.5 * wave))
    light = light * (1 - 0.34 * np.clip(edge_shade, 0, 1.0) ** 2)[..., None]
    seeds = smoothstep(2.5, 3.1, random_field(rng, shape, 4.5) + 0.25 * wave)
    light = light * (1 + 0.4 * seeds - 0.35 * np.roll(seeds, (2, 2), (0, 1)))[..., None]
    lit: Array = light * (1 - mark * (0.8 + 0.1 * wave))[..., None]
    return lit


def paint_leading(canvas: PaintCanvas, edge_proximity: Array) -> None:
    """Paint the leads: dark, rounded, a little uneven, thicker at joints, with a dull shine."""
    rough = random_field(canvas.rng, canvas.shape, 9, 2)
    cover = smoothstep(0.58, 0.74, edge_proximity * (1 + 0.05 * rough))
    metal = LEAD * (1.5 + 0.5 * rough)[..., None] + 0.05 * smoothstep(1.0, 1.5, edge_proximity)[..., None]
    canvas.color = mix(canvas.color, np.clip(metal, 0, 1), cover)
    canvas.thickness = cover * (5 * np.minimum(edge_proximity, 1.3) + 0.35 * rough) + 0.6 * random_field(
        canvas.rng, canvas.shape, 14, 2
    )
