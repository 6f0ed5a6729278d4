"""The foam of the woodcut wave: hands with hooked fingers, and spray."""

import numpy as np

from tools.house_artworks.canvas import PaintCanvas
from tools.house_artworks.noise import Array
from tools.house_artworks.woodcut import BLUE, FOAM, INDIGO, PALE


def paint_foam(canvas: PaintCanvas, start_point: Array, heading: float, size_share: float) -> None:
    """Paint a hand of foam: a finger with a hooked end that forks into smaller ones, white with an outline.

    start_point: (2,) and size_share: shares of the canvas's width. heading: radians.
    """
    rng, size = canvas.rng, canvas.width
    fingers: list[tuple[Array, float]] = []

    def grow_finger(start: Array, direction: float, length: float, forks: tuple[int, ...]) -> None:
        t = np.linspace(0, 1, 16)
        turn = direction + 0.35 - rng.uniform(1.3, 2.2) * t**2
        path = start + np.cumsum(np.stack([np.cos(turn), np.sin(turn)], -1) * length / 15, axis=0)
        fingers.append((path * size, 0.42 * length * size))
        for k in forks:
            grow_finger(path[k], float(turn[k] + rng.uniform(0.35, 0.8)), length * rng.uniform(0.45, 0.6), forks[2:])

    grow_finger(start_point, heading, size_share, (5, 9, 8))
    for edge, ink in ((7.0, INDIGO), (0.0, FOAM)):  # all outlines first, so that the fingers of one hand join
        for path, width in fingers:
            canvas.stroke(path, width + edge, ink, dryness=0, paint_thickness=0, is_pointed=True)
    path, width = fingers[0]
    side = np.stack([-np.gradient(path[:, 1]), np.gradient(path[:, 0])], -1)
    side /= np.hypot(*side.T)[:, None] + 1e-6
    for offset, line_width, ink in (
        (0.20, 0.20 * width, PALE),
        (0.02, 0.10 * width, BLUE),
        (-0.16, 0.07 * width, PALE),
    ):
        canvas.stroke((path + offset * width * side)[1:9], line_width, ink, dryness=0, paint_thickness=0, taper=0.9)


def paint_spray(canvas: PaintCanvas, crest: Array) -> None:
    """Paint drops ahead of a crest (n, 2; shares of the width), each white with a dark rim."""
    rng, size = canvas.rng, canvas.width
    for _ in range(230):
        along, distance = rng.uniform(0, 1), rng.gamma(1.6, 0.030)
        offset = np.array([-distance * rng.uniform(0.3, 1.2), rng.normal(-0.01, 0.045)])
        spot = (crest[int(along * len(crest))] + offset) * size
        drop_width = rng.uniform(4, 11) * (1 - 3.5 * min(distance, 0.2))
        path = np.array([spot, spot + rng.uniform(-1, 1, 2) + np.array([1, 0])])
        canvas.stroke(path, drop_width + 5, INDIGO, dryness=0, paint_thickness=0)
        canvas.stroke(path, drop_width, FOAM, dryness=0, paint_thickness=0)
