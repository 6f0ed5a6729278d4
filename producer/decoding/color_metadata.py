"""What a file says about its colors: an ICC profile, or the codes of ITU-T H.273."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from producer.decoding.boxes import has_boxes
from producer.decoding.color_space import ColorSpace, build_srgb_matrix, color_space_from_codes
from producer.decoding.item_properties import read_item_properties
from producer.decoding.png_chunks import is_png, iterate_chunks, read_icc_profile

#: Values of `gAMA` between which it is believed: 1 is linear light.
MIN_GAMMA, MAX_GAMMA = 0.2, 3.0


class ColorMetadata(NamedTuple):
    """How the values of a picture encode color."""

    #: ICC profile; it goes before `color_space` if it can be used.
    icc_profile: bytes | None = None
    color_space: ColorSpace = ColorSpace()


def read_color_metadata(data: bytes, info: Mapping[Any, Any]) -> ColorMetadata:
    """Return what a file says about its colors; sRGB if it says nothing, or nothing that can be understood.

    `cICP` goes before the ICC profile of a PNG (PNG, third edition), and so do the codes of HDR within an ICC profile
    (ICC.1:2022, cicpType), which no ICC profile can convey otherwise. In HEIC and AVIF the ICC profile goes before
    `nclx`. info: of the decoded picture.
    """
    icc_profile = info.get("icc_profile") or None
    if is_png(data) and icc_profile is None:  # Pillow leaves out a large one.
        icc_profile = read_icc_profile(data)
    try:
        if is_png(data) and (color_space := _read_png_color_space(data)):
            return ColorMetadata(color_space=color_space)
        if icc_profile and (color_space := _read_icc_color_space(icc_profile)) and color_space.is_hdr:
            return ColorMetadata(color_space=color_space)
        color_space = _read_nclx_color_space(data, info) or _read_gamma(info)
    except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError):  # Broken metadata of an intact picture.
        color_space = None
    return ColorMetadata(icc_profile, color_space or ColorSpace())


def _read_png_color_space(data: bytes) -> ColorSpace | None:
    for kind, content in iterate_chunks(data):
        if kind == b"cICP":
            return color_space_from_codes(content[0], content[1], is_full_range=content[3] != 0)
        if kind == b"IDAT":
            break
    return None


def _read_icc_color_space(profile: bytes) -> ColorSpace | None:
    """Return the color space in the tag `cicp` of an ICC profile."""
    for start in range(132, 132 + 12 * min(int.from_bytes(profile[128:132]), 100), 12):
        if profile[start : start + 4] == b"cicp":
            offset = int.from_bytes(profile[start + 4 : start + 8])
            return color_space_from_codes(profile[offset + 8], profile[offset + 9])
    return None


def _read_nclx_color_space(data: bytes, info: Mapping[Any, Any]) -> ColorSpace | None:
    """Return the color space of a HEIC, as libheif found it, or of an AVIF. Their decoders expand the range."""
    if nclx := info.get("nclx_profile"):
        return color_space_from_codes(nclx["color_primaries"], nclx["transfer_characteristics"])
    if has_boxes(data):
        for kind, content in read_item_properties(data):
            if kind == b"colr" and content[:4] == b"nclx":
                return color_space_from_codes(int.from_bytes(content[4:6]), int.from_bytes(content[6:8]))
    return None


def _read_gamma(info: Mapping[Any, Any]) -> ColorSpace | None:
    """Return the color space of the chunks `gAMA` and `cHRM` of a PNG without `sRGB`.

    Raises ZeroDivisionError if the primaries lie on a line.
    """
    if not (gamma := info.get("gamma")) or "srgb" in info:
        return None
    chromaticities = tuple(info["chromaticity"][2:8]) if "chromaticity" in info else ColorSpace().chromaticities
    is_srgb = abs(gamma - 1 / 2.2) < 0.01  # What files say that mean sRGB.
    color_space = ColorSpace(chromaticities) if is_srgb else ColorSpace(chromaticities, transfer=0, gamma=1 / gamma)
    build_srgb_matrix(color_space)
    return color_space if MIN_GAMMA < gamma < MAX_GAMMA else None
