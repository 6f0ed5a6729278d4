"""A swirling night over a bay: thick strokes along vortices, ultramarine and cobalt with yellow lights."""

import numpy as np
from PIL import Image

from tools.house_artworks.canvas import PaintCanvas
from tools.house_artworks.noise import Array, hex_to_rgb, mix, random_field, sample_gradient, smoothstep

WIDTH, HEIGHT, SEED = 768, 592, 31
SKY = hex_to_rgb("0b1242", "14246e", "1c3fa0", "2e63bd", "5b93cf", "a9cfdd")
GLOW = hex_to_rgb("3f78b8", "7fae9e", "c9c860", "f2cf3c", "fbe488", "fff7d6")
LAND = hex_to_rgb("060a22", "0c1b3c", "123a4e", "1d5158", "3c6f5c")
BAY = hex_to_rgb("0a1238", "152a66", "1f4a8c", "3d77ad")
# Lights: x, y and radius as shares of the width, and the sense in which the vortex around it turns.
LIGHTS = (
    (0.82, 0.150, 0.074, 1), (0.13, 0.115, 0.046, -1), (0.335, 0.085, 0.028, 1), (0.255, 0.245, 0.034, -1),
    (0.60, 0.075, 0.034, -1), (0.055, 0.315, 0.030, 1), (0.945, 0.355, 0.034, 1), (0.70, 0.285, 0.026, -1),
)  # fmt: skip
VORTICES = ((0.43, 0.265, 0.115, 1), (0.565, 0.335, 0.075, -1), (0.16, 0.40, 0.06, 1), (0.80, 0.40, 0.065, -1))
HILL_TOP, HILL_FOOT = 0.515, 0.605  # y of the hills' top and foot on the left, as shares of the width


def paint() -> Image.Image:
    """Paint the picture and return it: sRGB, 768 x 592."""
    canvas = PaintCanvas(WIDTH, HEIGHT, hex_to_rgb("141d4f")[0], SEED)
    angle, color, light, ground = build_scene(canvas)
    rng = canvas.rng
    for pitch, width, length, jitter in ((26, 34, 170, 0.05), (17, 21, 120, 0.075), (13.5, 13, 84, 0.10)):
        starts = canvas.sample_jittered_grid(pitch)
        glow = canvas.sample(light, starts)
        lengths = (
            length * rng.uniform(0.6, 1.3, len(starts)) * (1 - 0.55 * glow) * (1 - 0.3 * canvas.sample(ground, starts))
        )
        paths = canvas.trace_paths(angle, starts, lengths)
        tints = canvas.sample(color, starts)
        tones = rng.normal(0, jitter, (len(starts), 1)) + rng.normal(0, jitter * 0.55, tints.shape)
        others = tints[rng.permutation(len(starts))]  # the brush still carries the colour of another stroke
        for path, tint, tone, other, brightness in zip(paths, tints, tones, others, glow, strict=True):
            stroke_color = np.clip(tint * (1 + 2.2 * tone) + 0.3 * tone, 0, 1)
            stroke_width = width * rng.uniform(0.7, 1.25) * (1 - 0.25 * brightness)
            canvas.stroke(
                path,
                stroke_width,
                stroke_color,
                second_color=mix(stroke_color, other, 0.35),
                dryness=rng.uniform(0.1, 0.45),
            )
    paint_highlights(canvas, angle, light)
    return canvas.render(0.26)


def build_scene(canvas: PaintCanvas) -> tuple[Array, Array, Array, Array]:
    """Return the strokes' angles and colours, closeness of lights (0..1), and ground (1: land or water, 0: sky)."""
    size, x, y, rng = canvas.width, canvas.x / canvas.width, canvas.y / canvas.width, canvas.rng
    stream = 1.15 * y + 0.055 * np.sin(7.5 * x + 9 * y) + 0.03 * random_field(rng, canvas.shape, 330, 2)
    for cx, cy, radius, turn in LIGHTS + VORTICES:
        r2 = ((x - cx) ** 2 + (y - cy) ** 2) / (1.5 * radius) ** 2
        stream += turn * 2.6 * radius * np.exp(-r2 / 1.6)
    down, across = np.gradient(stream)
    speed = np.hypot(down, across) + 1e-9
    flow = np.stack([down / speed, -across / speed])
    for cx, cy, radius, turn in LIGHTS + VORTICES:  # near its centre a vortex is round, whatever the stream
        distance = np.hypot(x - cx, y - cy) + 1e-6
        weight = np.exp(-((distance / (1.75 * radius)) ** 4))
        spin = -turn * np.stack([cy - y, x - cx]) / distance - 0.28 * np.stack([x - cx, y - cy]) / distance
        flow = flow * (1 - weight) + spin * weight
    angle = np.arctan2(flow[1], flow[0])
    bands = 0.5 + 0.5 * np.sin(44 * stream + 0.6 * random_field(rng, canvas.shape, 160, 2))
    deep = smoothstep(0.0, 0.5, y)
    color = sample_gradient(
        SKY, 0.10 + 0.50 * bands + 0.26 * deep * bands + 0.09 * random_field(rng, canvas.shape, 90, 3)
    )
    light = np.zeros_like(x)
    for cx, cy, radius, _ in LIGHTS:
        distance = np.hypot(x - cx, y - cy) / radius
        rings = 1.12 - 0.52 * distance + 0.16 * np.sin(9.5 * distance)
        weight = smoothstep(0.0, 0.42, 1.75 - distance)
        color = mix(color, sample_gradient(GLOW, rings), weight)
        light = np.maximum(light, weight)
    crest = (
        HILL_TOP + 0.028 * np.sin(7 * x + 0.7) + 0.020 * np.sin(17 * x) - 0.085 * smoothstep(0.45, 0.0, x) + 0.035 * x
    )
    second = crest + 0.040 + 0.02 * np.sin(11 * x + 2)
    coast = HILL_FOOT + 0.012 * np.sin(9 * x + 1) + 0.018 * x
    for edge, tone in ((crest, 0.34), (second, 0.12)):
        hill = smoothstep(-0.003, 0.003, y - edge)
        lines = 0.5 + 0.5 * np.sin((y - edge) * 260 + 3 * random_field(rng, canvas.shape, 120, 2))
        color = mix(color, sample_gradient(LAND, tone + 0.5 * lines - 2.4 * (y - edge)), hill)
        slope = np.arctan(np.gradient(edge, axis=1) * size) + 0.5 * random_field(rng, canvas.shape, 200)
        angle, light = np.where(hill > 0.5, slope, angle), light * (1 - hill)
    water = smoothstep(-0.002, 0.002, y - coast)
    swell = 0.5 + 0.5 * np.sin(190 * y + 2.2 * random_field(rng, canvas.shape, (50, 300), 2))
    color = mix(color, sample_gradient(BAY, 0.65 * swell + 0.2 * random_field(rng, canvas.shape, (30, 120), 2)), water)
    angle = np.where(water > 0.5, 0.16 * random_field(rng, canvas.shape, (60, 220)), angle)
    return angle, color, light, np.maximum(water, smoothstep(-0.003, 0.003, y - crest))


def paint_highlights(canvas: PaintCanvas, angles: Array, light: Array) -> None:
    """Paint lit windows along the coast, their long reflections, and flecks that follow the stream."""
    rng, size = canvas.rng, canvas.width
    villages = (rng.normal(0.16, 0.07, 9), rng.normal(0.52, 0.05, 8), rng.normal(0.83, 0.07, 10))
    for x in np.clip(np.concatenate(villages), 0.02, 0.98):
        size_factor = rng.uniform(0.5, 1.5)
        y = HILL_FOOT + 0.012 * np.sin(9 * x + 1) + 0.018 * x - rng.uniform(0.002, 0.020)
        window_tint = sample_gradient(GLOW, rng.uniform(0.55, 0.9))
        for k in range(int(3 + 6 * size_factor)):  # the reflection, broken by the swell
            fall = 0.020 + 0.0120 * k + rng.normal(0, 0.003)
            half = 0.012 * size_factor * rng.uniform(0.3, 1.2)
            middle = x + rng.normal(0, 0.004)
            path = np.array([[middle - half, y + fall], [middle, y + fall + 0.003], [middle + half, y + fall]]) * size
            canvas.stroke(path, rng.uniform(6, 10), mix(window_tint, BAY[3], 0.07 * k), dryness=0.5, taper=0.5)
        spot = np.array([[x - 0.003, y], [x + 0.003, y - 0.002]]) * size
        canvas.stroke(spot, 8 * size_factor + 3, GLOW[4], second_color=GLOW[3], paint_thickness=1.6, dryness=0.05)
    starts = canvas.sample_jittered_grid(46)
    paths = canvas.trace_paths(angles, starts, rng.uniform(40, 110, len(starts)))
    for path, start in zip(paths, starts, strict=True):
        if start[1] > HILL_TOP * size * 0.86:
            continue
        glow = float(canvas.sample(light, start))
        tint = GLOW[5 if rng.random() < 0.5 else 4] if glow > 0.5 else SKY[5] if rng.random() < 0.6 else GLOW[1]
        canvas.stroke(path, rng.uniform(6, 11), tint, dryness=0.5, paint_thickness=1.3, taper=0.6)
    for cx, cy, radius, _ in LIGHTS:
        for _ in range(9):
            a, r = rng.uniform(0, 2 * np.pi), 0.16 * radius * np.sqrt(rng.random())
            middle = np.array([cx + r * np.cos(a), cy + r * np.sin(a)])
            half_stroke = 0.16 * radius * np.array([-np.sin(a), np.cos(a)])
            spot = np.array([middle - half_stroke, middle, middle + half_stroke]) * size
            canvas.stroke(spot, 0.14 * radius * size, GLOW[5], second_color=GLOW[4], paint_thickness=1.8, dryness=0.1)
