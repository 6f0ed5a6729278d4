"""Grey pictures of 32 bits, integers or floating point, as TIFF has them: scale them to 8 bits."""

from collections.abc import Callable
from typing import Any

from PIL import Image, ImageMath
from PIL.TiffImagePlugin import SAMPLEFORMAT

#: White of floating-point pictures: of those in [0, 1], and of those that were made of 8 and 16 bits.
_FLOAT_WHITES = (1.0, 255.0, 65535.0)

#: White of integers: made of 8 and 16 bits, and of 32 bits with and without a sign.
_SIGNED_WHITES, _UNSIGNED_WHITES = (255.0, 65535.0, 2.0**31 - 1), (255.0, 65535.0, 2.0**32 - 1)

#: Value of the TIFF tag SampleFormat for integers with a sign.
_SIGNED = 2


def convert_deep_grey(image: Image.Image) -> Image.Image:
    """Convert a picture of mode I or F to mode L.

    White is the smallest of the usual ones that no pixel exceeds: these files do not say theirs. What exceeds all of
    them is scaled to its brightest pixel. Black is 0; negative values and those that are no numbers are black.
    """
    whites = _FLOAT_WHITES
    if image.mode == "I":
        sample_format = getattr(image, "tag_v2", {}).get(SAMPLEFORMAT, (1,))
        is_signed = _SIGNED in (sample_format if isinstance(sample_format, tuple) else (sample_format,))
        whites = _SIGNED_WHITES if is_signed else _UNSIGNED_WHITES
        image = image.convert("F")
        if not is_signed:  # Pillow reads them as if they had a sign.
            image = _apply(image, lambda grey, _: grey + (grey < 0) * 2.0**32)
    image = _apply(image, lambda grey, larger_of: larger_of(grey, 0.0))
    brightest = _find_brightest(image)
    white = next((white for white in whites if brightest <= white), brightest)
    return _apply(image, lambda grey, _: grey * (255 / white) + 0.5).convert("L")


def _apply(image: Image.Image, formula: Callable[[Any, Callable[[Any, float], Any]], Any]) -> Image.Image:
    """Evaluate a formula per pixel. Its operands are the pixel, and a function that returns the larger of two."""
    result: Image.Image = ImageMath.lambda_eval(lambda names: formula(names["grey"], names["max"]), grey=image)
    return result


def _find_brightest(image: Image.Image) -> float:
    brightest = image.getextrema()[1]
    assert isinstance(brightest, float)  # noqa: S101
    return brightest
