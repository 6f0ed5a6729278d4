"""Pictures of known colors in every kind of file and color space, and how far apart two colors are."""

import io
import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import av
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

from producer.decoding.color_space import BT709, BT2020, HLG, LINEAR, P3, PQ, SRGB, get_chromaticities
from tests.producer.icc_profiles import make_rgb_profile

#: sRGB values of the patches, 0 to 255; the last is reference white in HDR.
PATCHES = [(200, 60, 40), (40, 160, 60), (50, 70, 200), (230, 180, 150), (128, 128, 128), (20, 30, 40), (240, 240, 240)]

#: Width and height of a patch in pixels; the encoder of AV1 makes no picture that is less than 64 pixels high.
PATCH_WIDTH, PATCH_HEIGHT = 32, 64

#: Light of a highlight, in multiples of white: 800 cd/m².
HIGHLIGHT = 800 / 203

#: x and y of red, green and blue of Adobe RGB (1998), and its exponent.
ADOBE_RGB, ADOBE_RGB_GAMMA = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 2.19921875

Array = NDArray[np.float64]


class ColorCase(NamedTuple):
    """A file that shows the patches, and for HDR, reference white and a highlight."""

    #: The kind of file, and its color space.
    kind: str
    space: str
    make: Callable[[], bytes]
    is_hdr: bool = False


def decode_srgb(values: Array) -> Array:
    """Return the linear light, 0 to 1, of sRGB values of 0 to 1 (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encode_srgb(light: Array) -> Array:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


def encode_pq(light: Array) -> Array:
    """Return the PQ signal, 0 to 1, of light in multiples of reference white (ITU-R BT.2100)."""
    power = (np.maximum(light, 0) * 203 / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def encode_hlg(light: Array, weights: Array) -> Array:
    """Return the HLG signal, 0 to 1, of light in multiples of reference white on a display of 1000 cd/m²."""
    display = np.maximum(light, 0) * 203 / 1000
    luminance = np.maximum((display * weights).sum(axis=-1, keepdims=True), 1e-9)
    scene = display * luminance ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def make_xyz_matrix(chromaticities: tuple[float, ...]) -> Array:
    """Return the matrix from linear RGB with a white of D65 to XYZ."""
    x, y = np.array(chromaticities[0::2]), np.array(chromaticities[1::2])
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


def make_scene(*, hdr: bool) -> Array:
    """Return the linear sRGB light of the patches side by side: (height, width, 3), 1 for white.

    hdr: two patches more, reference white and a highlight.
    """
    light = [decode_srgb(np.array(patch) / 255) for patch in PATCHES]
    if hdr:
        light += [np.ones(3), np.full(3, HIGHLIGHT)]
    return np.repeat(np.repeat(np.array(light)[None], PATCH_HEIGHT, axis=0), PATCH_WIDTH, axis=1)


def make_signal(chromaticities: tuple[float, ...], transfer: int, gamma: float = 1.0) -> Array:
    """Return the scene as signals of 0 to 1 in a color space: (height, width, 3)."""
    matrix = make_xyz_matrix(chromaticities)
    light = (
        make_scene(hdr=transfer in (PQ, HLG)) @ np.linalg.solve(matrix, make_xyz_matrix(get_chromaticities(BT709))).T
    )
    encoders: dict[int, Callable[[Array], Array]] = {
        SRGB: encode_srgb,
        LINEAR: lambda light: light,
        PQ: encode_pq,
        HLG: lambda light: encode_hlg(light, matrix[1]),
        0: lambda light: np.maximum(light, 0) ** (1 / gamma),
    }
    return np.clip(encoders[transfer](light), 0, 1)


def quantize(signal: Array, bits: int) -> NDArray[np.uint16]:
    return (signal * (2**bits - 1)).round().astype(np.uint16)


def add_alpha(values: NDArray[np.uint16], largest: int) -> NDArray[np.uint16]:
    return np.concatenate([values, np.full_like(values[..., :1], largest)], axis=-1)


def encode_heic(signal: Array, bits: int, *, alpha: bool = False, **nclx: int) -> bytes:
    """Return a HEIC. nclx: color_primaries, transfer_characteristics, matrix_coefficients and full_range_flag."""
    buffer, values = io.BytesIO(), quantize(signal, 8 if bits == 8 else 16)
    if alpha:
        values = add_alpha(values, 255 if bits == 8 else 65535)
    mode, size = "RGBA" if alpha else "RGB", (signal.shape[1], signal.shape[0])
    pixels = values.astype(np.uint8 if bits == 8 else np.uint16).tobytes()
    mode = mode if bits == 8 else f"{mode};16"
    pillow_heif.encode(mode, size, pixels, buffer, quality=-1, chroma=444, save_nclx_profile=True, **nclx)
    return buffer.getvalue()


def encode_avif(signal: Array, primaries: int, transfer: int, *, range_: str = "full", alpha: bool = False) -> bytes:
    """Return an AVIF of 8 bits whose `nclx` was given other codes."""
    values = quantize(signal, 8)
    picture = Image.fromarray((add_alpha(values, 255) if alpha else values).astype(np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, "AVIF", quality=100, subsampling="4:4:4", range=range_, icc_profile=None)
    file = buffer.getvalue()
    start = file.index(b"colrnclx") + 8
    return file[:start] + struct.pack(">HH", primaries, transfer) + file[start + 4 :]


@contextmanager
def _keep_scheduling() -> Iterator[None]:
    """Undo what SVT-AV1 does for root: it makes the calling thread, and so all that it starts, a real-time one."""
    if sys.platform != "linux":
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def encode_deep_avif(signal: Array, primaries: int, transfer: int) -> bytes:
    """Return an AVIF of 10 bits, 4:2:0, with the matrix of BT.2020 and video range, as cameras make it."""
    red, green, blue = np.moveaxis(signal, -1, 0)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    planes = [luma * 876 + 64, (blue - luma) / 1.8814 * 896 + 512, (red - luma) / 1.4746 * 896 + 512]
    frame = av.VideoFrame(signal.shape[1], signal.shape[0], "yuv420p10le")
    for plane, values in zip(frame.planes, [planes[0], planes[1][::2, ::2], planes[2][::2, ::2]], strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
        rows[:, : plane.width] = values.round()
        plane.update(rows.tobytes())
    buffer = io.BytesIO()
    with _keep_scheduling(), av.open(buffer, "w", format="avif") as container:
        stream = container.add_stream("libsvtav1", rate=1, options={"crf": "4", "preset": "10"})
        stream.width, stream.height, stream.pix_fmt = signal.shape[1], signal.shape[0], "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = primaries, transfer, 9, 1
        frame.time_base = Fraction(1)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def encode_png(values: NDArray[np.uint16], bits: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of RGB or RGBA values. chunks: types and contents of those before the pixels."""
    height, width, channels = values.shape
    rows = values.astype(np.uint8 if bits == 8 else ">u2").reshape(height, -1)
    header = struct.pack(">2I5B", width, height, bits, {3: 2, 4: 6}[channels], 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    file = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")):
        file += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return file


def encode_cicp_png(
    signal: Array, primaries: int, transfer: int, bits: int, *, full: int = 1, alpha: bool = False
) -> bytes:
    values = quantize(signal if full else (signal * 219 + 16) / 255, bits)
    values = add_alpha(values, 2**bits - 1) if alpha else values
    return encode_png(values, bits, (b"cICP", bytes([primaries, transfer, 0, full])))


def encode_icc(kind: str, signal: Array, profile: bytes) -> bytes:
    """Return a file of 8 bits with an ICC profile. kind: JPEG, PNG, WEBP, TIFF, AVIF or HEIC."""
    picture, buffer = Image.fromarray(quantize(signal, 8).astype(np.uint8)), io.BytesIO()
    if kind == "HEIC":
        pillow_heif.from_pillow(picture).save(buffer, quality=-1, chroma=444, icc_profile=profile)
    else:
        options: dict[str, dict[str, Any]] = {
            "JPEG": {"quality": 95, "subsampling": 0},
            "WEBP": {"lossless": True},
            "AVIF": {"quality": 100},
        }
        picture.save(buffer, kind, icc_profile=profile, **options.get(kind, {}))
    return buffer.getvalue()


def list_color_cases() -> list[ColorCase]:
    """Return a case for each kind of file and color space."""
    return [*_list_icc_cases(), *_list_cicp_cases(), _make_gamma_case()]


def _list_icc_cases() -> list[ColorCase]:
    cases, p3 = [], get_chromaticities(P3)
    for name, chromaticities, transfer, gamma in (
        ("P3", p3, SRGB, None),
        ("Adobe RGB", ADOBE_RGB, 0, ADOBE_RGB_GAMMA),
    ):
        profile, signal = (
            make_rgb_profile(name, chromaticities, gamma),
            make_signal(chromaticities, transfer, gamma or 1),
        )
        for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC"):
            cases.append(ColorCase(f"{kind}, 8 bits, ICC profile", name, partial(encode_icc, kind, signal, profile)))
    return cases


def _list_cicp_cases() -> list[ColorCase]:
    cases = []
    for space, primaries, transfer in (
        ("sRGB", BT709, SRGB),
        ("BT.709", BT709, 1),
        ("P3", P3, SRGB),
        ("BT.2020", BT2020, 14),
        ("BT.2020 linear", BT2020, LINEAR),
        ("P3 PQ", P3, PQ),
        ("BT.2020 PQ", BT2020, PQ),
        ("P3 HLG", P3, HLG),
        ("BT.2020 HLG", BT2020, HLG),
    ):
        signal = make_signal(get_chromaticities(primaries), SRGB if transfer in (1, 14) else transfer)
        heic = partial(encode_heic, signal, color_primaries=primaries, transfer_characteristics=transfer)
        heic = partial(heic, matrix_coefficients=9 if primaries == BT2020 else 1)
        avif, png = (
            partial(encode_avif, signal, primaries, transfer),
            partial(encode_cicp_png, signal, primaries, transfer),
        )
        makers: dict[str, Callable[[], bytes]] = {
            "PNG, 16 bits, cICP": partial(png, 16),
            "PNG, 16 bits and alpha, cICP": partial(png, 16, alpha=True),
        }
        if transfer != LINEAR:  # which 8 or 10 bits do not suffice for
            makers |= {
                "HEIC, 10 bits, full range, nclx": partial(heic, 10, full_range_flag=1),
                "HEIC, 10 bits, video range, nclx": partial(heic, 10, full_range_flag=0),
                "HEIC, 10 bits and alpha, nclx": partial(heic, 10, alpha=True, full_range_flag=1),
                "AVIF, 10 bits, video range, nclx": partial(encode_deep_avif, signal, primaries, transfer),
            }
        if transfer not in (LINEAR, PQ, HLG):
            makers |= {
                "HEIC, 8 bits, full range, nclx": partial(heic, 8, full_range_flag=1),
                "HEIC, 8 bits, video range, nclx": partial(heic, 8, full_range_flag=0),
                "AVIF, 8 bits, full range, nclx": avif,
                "AVIF, 8 bits, video range, nclx": partial(avif, range_="limited"),
                "AVIF, 8 bits and alpha, nclx": partial(avif, alpha=True),
                "PNG, 8 bits, cICP": partial(png, 8),
                "PNG, 8 bits, video range, cICP": partial(png, 8, full=0),
            }
        cases += [ColorCase(kind, space, maker, transfer in (PQ, HLG)) for kind, maker in makers.items()]
    return cases


def _make_gamma_case() -> ColorCase:
    primaries = (0.3127, 0.329, *get_chromaticities(P3))
    chromaticities = struct.pack(">8I", *(round(100_000 * value) for value in primaries))
    values = quantize(make_signal(get_chromaticities(P3), 0, 1.8), 16)
    chunks = [(b"gAMA", struct.pack(">I", 55556)), (b"cHRM", chromaticities)]
    return ColorCase("PNG, 16 bits, gAMA and cHRM", "P3", partial(encode_png, values, 16, *chunks))


def read_patches(jpeg: bytes) -> Array:
    """Return the mean of each patch of a photo, away from its edges: (patches, 3), sRGB values of 0 to 255."""
    with Image.open(io.BytesIO(jpeg)) as image:
        pixels = np.asarray(image).astype(np.float64)
    patches = pixels.reshape(PATCH_HEIGHT, -1, PATCH_WIDTH, 3).swapaxes(0, 1)
    return patches[:, 8:-8, 8:-8].mean(axis=(1, 2))


def compute_color_difference(first: Array, second: Array) -> Array:
    """Return CIEDE2000 between sRGB values of 0 to 255: (…, 3) → (…)."""
    return compute_lab_difference(_to_lab(first), _to_lab(second))


def compute_lab_difference(first: Array, second: Array) -> Array:
    """Return CIEDE2000 (Sharma, Wu and Dalal, 2005) between L*a*b* values: (…, 3) → (…)."""
    (l1, a1, b1), (l2, a2, b2) = (np.moveaxis(values, -1, 0) for values in (first, second))
    mean_chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25.0**7)))
    chroma1, chroma2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    hue1, hue2 = np.degrees(np.arctan2(b1, a1 * stretch)) % 360, np.degrees(np.arctan2(b2, a2 * stretch)) % 360
    turn = (hue2 - hue1 + 180) % 360 - 180
    hue_difference = 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn / 2))
    lightness, chroma = (l1 + l2) / 2, (chroma1 + chroma2) / 2
    hue = np.where(chroma1 * chroma2 == 0, hue1 + hue2, hue1 + turn / 2) % 360
    t = 1 - 0.17 * np.cos(np.radians(hue - 30)) + 0.24 * np.cos(np.radians(2 * hue))
    t += 0.32 * np.cos(np.radians(3 * hue + 6)) - 0.20 * np.cos(np.radians(4 * hue - 63))
    rotation = (
        -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    )
    lightness_part = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2))
    chroma_part, hue_part = (chroma2 - chroma1) / (1 + 0.045 * chroma), hue_difference / (1 + 0.015 * chroma * t)
    return np.sqrt(lightness_part**2 + chroma_part**2 + hue_part**2 + rotation * chroma_part * hue_part)


def _to_lab(values: Array) -> Array:
    matrix = make_xyz_matrix(get_chromaticities(BT709))
    xyz = decode_srgb(np.asarray(values) / 255) @ matrix.T / matrix.sum(axis=1)
    x, y, z = np.moveaxis(np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
