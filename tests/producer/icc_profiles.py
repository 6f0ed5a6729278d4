"""An ICC profile for tests, and the conversion that it must cause."""

import struct
from collections.abc import Sequence

import numpy as np

#: Red, green and blue of Display P3 in D50 XYZ (ICC.1:2010); the columns sum to the D50 white point.
P3_PRIMARIES = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


def to_linear(value: float) -> float:
    """Decode a value of sRGB or Display P3 to linear light; both in [0, 1]."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def to_encoded(light: float) -> float:
    """Encode linear light as a value of sRGB or Display P3; both in [0, 1]."""
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def convert_p3_to_srgb(color: tuple[int, int, int]) -> list[int]:
    """Convert a Display P3 color to sRGB with the matrix of CSS Color 4; components 0 to 255."""
    linear_color = [to_linear(value / 255) for value in color]
    matrix = ((1.2249, -0.2249, 0.0), (-0.0421, 1.0421, 0.0), (-0.0196, -0.0786, 1.0982))
    return [
        round(
            255
            * to_encoded(sum(coefficient * component for coefficient, component in zip(row, linear_color, strict=True)))
        )
        for row in matrix
    ]


def _pack_fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def make_display_p3_profile() -> bytes:
    """Return an ICC matrix profile with the primaries of Display P3."""
    return _make_matrix_profile("Display P3", P3_PRIMARIES, None)


def make_rgb_profile(name: str, chromaticities: tuple[float, ...], gamma: float | None) -> bytes:
    """Return an ICC matrix profile with a white of D65.

    chromaticities: x and y of red, green and blue. gamma: exponent of the values; None for the curve of sRGB.
    """
    x, y = np.array(chromaticities[0::2]), np.array(chromaticities[1::2])
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    d65, d50 = np.array([0.95047, 1.0, 1.08883]), np.array([0.9642, 1.0, 0.8249])
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    adaptation = np.linalg.solve(bradford, (bradford @ d50 / (bradford @ d65))[:, None] * bradford)
    primaries = adaptation @ (columns * np.linalg.solve(columns, d65))
    return _make_matrix_profile(name, [tuple(column) for column in primaries.T], gamma)


def _make_matrix_profile(name: str, primaries: Sequence[tuple[float, float, float]], gamma: float | None) -> bytes:
    """primaries: XYZ of red, green and blue, adapted to D50."""
    samples = [
        round(65535 * (to_linear(step / 1023) if gamma is None else (step / 1023) ** gamma)) for step in range(1024)
    ]
    curve = b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *samples)
    white = b"XYZ \0\0\0\0" + b"".join(map(_pack_fixed, (0.9642, 1.0, 0.8249)))
    text = name.encode() + b"\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(79)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0none\0", b"wtpt": white}
    for channel, color in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[channel + b"XYZ"] = b"XYZ \0\0\0\0" + b"".join(map(_pack_fixed, color))
        tags[channel + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    data_start = 128 + 4 + 12 * len(tags)
    for kind, tag in tags.items():
        tag += bytes(-len(tag) % 4)
        table += kind + struct.pack(">II", data_start + len(body), len(tag))
        body += tag
    header = struct.pack(">I4sI4s4s4s", data_start + len(body), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += b"".join(map(_pack_fixed, (0.9642, 1.0, 0.8249))) + bytes(128 - 80)
    return header + table + body
