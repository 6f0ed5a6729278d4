"""HEIC decoded by Apple's ImageIO, in the Mac's hardware; the extra `macos` installs its bindings (`Quartz`).

Nobody has run this on a Mac yet. It decodes iPhones' photos only, and has to prove itself where it runs: unless it
decodes a check picture as libheif does, and refuses half of it, libheif decodes everything.
"""

import importlib
import logging
from functools import cache
from pathlib import Path
from types import ModuleType

from PIL import Image, ImageChops, ImageStat
from pillow_heif import HeifFile, open_heif

from producer.decoding.item_properties import read_item_properties

logger = logging.getLogger(__name__)

#: A HEIC as iPhones write it, made by tools/check_picture.py.
CHECK_PICTURE = Path(__file__).with_name("check.heic")

#: Side in pixels of the blocks in which two decodings of it are compared, and the largest difference of their means.
CHECK_BLOCK, MAX_CHECK_DIFFERENCE = 12, 6


def decode_with_imageio(data: bytes, heif: HeifFile, size: tuple[int, int]) -> Image.Image | None:
    """Decode a HEIC to about `size`, within a pixel, in its own color space and turned as its container says.

    Returns None if libheif has to decode it: no Mac, no extra `macos`, a check that failed, or no photo of an iPhone.
    heif: the same file, opened by libheif.
    """
    if (quartz := _load_quartz()) is None or not _is_iphone_photo(data, heif):
        return None
    try:
        picture = _decode(quartz, data, max(size))
    except Exception as error:  # Untested on a Mac: any error is possible.
        logger.warning("ImageIO could not decode a photo (%r), so libheif does", error)
        return None
    if picture is None or any(abs(got - wanted) > 1 for got, wanted in zip(picture.size, size, strict=True)):
        return None
    picture.info = heif.info
    return picture


def _is_iphone_photo(data: bytes, heif: HeifFile) -> bool:
    """Return whether the choice of a decoder changes nothing: 8 bits, no alpha, an ICC profile, turned by `irot`."""
    return (
        (heif.mode, heif.info.get("bit_depth")) == ("RGB", 8)
        and bool(heif.info.get("icc_profile"))
        and any(kind == b"irot" for kind, _ in read_item_properties(data))
    )


@cache
def _load_quartz() -> ModuleType | None:
    """Return the bindings of ImageIO; None where they are not installed, or do not decode as libheif does."""
    try:
        quartz = importlib.import_module("Quartz")
    except ImportError:
        return None
    try:
        fault = _find_fault(quartz)
    except Exception as error:  # As above.
        fault = f"fails at the check picture ({error!r})"
    if fault:
        logger.warning("ImageIO %s, so HEIC is decoded without it", fault)
        return None
    return quartz


def _find_fault(quartz: ModuleType) -> str:
    """Return what ImageIO does otherwise than libheif, as a predicate; "" if nothing."""
    data = CHECK_PICTURE.read_bytes()
    heif = open_heif(CHECK_PICTURE)
    expected = Image.frombuffer(heif.mode, heif.size, bytes(heif.data), "raw", heif.mode, heif.stride, 1)
    actual = _decode(quartz, data, max(expected.size))
    if actual is None or actual.size != expected.size:
        return "does not decode the check picture at its size"
    difference = ImageChops.difference(actual.reduce(CHECK_BLOCK), expected.reduce(CHECK_BLOCK))
    if max(largest for _, largest in ImageStat.Stat(difference).extrema) > MAX_CHECK_DIFFERENCE:
        return "shows the check picture turned or in other colors"
    if _decode(quartz, data[: len(data) // 2], max(expected.size)) is not None:
        return "takes half of a file for the whole"
    return ""


def _decode(quartz: ModuleType, data: bytes, side: int) -> Image.Image | None:
    """Decode the primary picture, upright, in its own color space, with `side` pixels on its long side.

    Returns None if it is damaged or cannot be drawn in 8-bit RGB.
    """
    from objc import autorelease_pool

    with autorelease_pool():  # What ImageIO hands over is freed here: this thread has no run loop.
        source = quartz.CGImageSourceCreateWithData(quartz.CFDataCreate(None, data, len(data)), None)
        if source is None:
            return None
        index = quartz.CGImageSourceGetPrimaryImageIndex(source)
        options = {
            quartz.kCGImageSourceCreateThumbnailFromImageAlways: True,
            quartz.kCGImageSourceCreateThumbnailWithTransform: True,
            quartz.kCGImageSourceThumbnailMaxPixelSize: side,
        }
        image = quartz.CGImageSourceCreateThumbnailAtIndex(source, index, options)
        if image is None or quartz.CGImageSourceGetStatusAtIndex(source, index) != quartz.kCGImageStatusComplete:
            return None
        width, height = quartz.CGImageGetWidth(image), quartz.CGImageGetHeight(image)
        bitmap_info = quartz.kCGImageAlphaNoneSkipLast | quartz.kCGBitmapByteOrder32Big
        color_space = quartz.CGImageGetColorSpace(image)
        context = quartz.CGBitmapContextCreate(None, width, height, 8, 0, color_space, bitmap_info)
        if context is None:
            return None
        quartz.CGContextDrawImage(context, quartz.CGRectMake(0, 0, width, height), image)
        drawn = quartz.CGBitmapContextCreateImage(context)
        pixels = bytes(quartz.CGDataProviderCopyData(quartz.CGImageGetDataProvider(drawn)))
        stride = quartz.CGImageGetBytesPerRow(drawn)
        return Image.frombytes("RGB", (width, height), pixels, "raw", "RGBX", stride, 1)
