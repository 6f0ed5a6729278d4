"""Grey pictures of 32 bits, integers or floating point, as TIFF has them: scale them to 8 bits."""

from PIL import Image
from PIL.TiffImagePlugin import SAMPLEFORMAT

from producer.decoding.image_math import evaluate, find_brightest, maximum

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
            image = evaluate(lambda grey: grey + (grey < 0) * 2.0**32, image)
    image = maximum(image, 0.0)
    brightest = find_brightest(image)
    white = next((white for white in whites if brightest <= white), brightest)
    return evaluate(lambda grey: grey * (255 / white) + 0.5, image).convert("L")
