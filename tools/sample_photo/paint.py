"""Paint the project's sample photo: a mountain lake at golden hour, computed from noise alone.

`python -m tools.sample_photo.paint [OUT]` writes it as a HEIC like that of a phone: 2016 x 1512, upright, with EXIF and
without a position. The same seed gives the same picture.

The scene is a small ray tracer over height fields: `trace_ground` finds the point of the ground that each pixel shows,
and everything else (light, shadow, snow, haze) is computed there. World coordinates are metres: x to the right, y up
with the lake at 0, z away from the camera. Colours are linear light, 0 and up, until `tone_map` converts them to sRGB.
Arrays are floats of shape (rows, columns) or (rows, columns, 3), unless stated otherwise.
"""

import sys
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import ExifTags, Image

from artdream import sample
from tools.sample_photo.distance import compute_mountain_height, render_far_view, render_forest, render_sky
from tools.sample_photo.field import (
    COLUMN_SLOPES,
    EXIF_DATETIME,
    EYE_HEIGHT,
    FAR_DEPTHS,
    FOCAL_LENGTH,
    HEIC_QUALITY,
    HEIGHT,
    HORIZON_ROW,
    WIDTH,
    Array,
    gaussian_blur,
    sample_columns,
)
from tools.sample_photo.shore import paint_meadow, render_near_view


def render_scene() -> Array:
    """Return the whole scene (rows, columns, 3) in linear light, rendered from far to near."""
    sky = render_sky()
    ground = sample_columns(compute_mountain_height, FAR_DEPTHS)
    image, depth = render_far_view(sky, ground, EYE_HEIGHT)
    image = render_forest(image, depth, EYE_HEIGHT)
    reflection, reflection_depth = render_far_view(sky, ground, -EYE_HEIGHT)
    reflection = render_forest(reflection, reflection_depth, -EYE_HEIGHT)
    # Nothing is reflected between the mirrored shore and the horizon: stretch the shore over the gap.
    shore = HEIGHT - 1 - np.argmax(np.isfinite(reflection_depth)[::-1], axis=0)
    reflection = reflection[np.minimum(np.arange(HEIGHT)[:, None], shore), np.arange(WIDTH)]
    is_land = np.isfinite(depth) & (np.arange(HEIGHT) > HORIZON_ROW)[:, None]
    near_view = render_near_view(image, reflection)
    image = np.where(is_land[..., None], image, near_view)
    image = paint_meadow(image)
    return apply_camera_effects(image)


def apply_camera_effects(image: Array) -> Array:
    """Return the image as taken by a small lens and sensor: soft, with glow, darker corners and grain."""
    rng = np.random.default_rng(2)
    image = 0.93 * gaussian_blur(image, 0.6) + 0.07 * gaussian_blur(np.clip(image, 0, 3), 22)
    across, down = COLUMN_SLOPES[None, :] * FOCAL_LENGTH / WIDTH, (np.arange(HEIGHT)[:, None] / HEIGHT - 0.5)
    image = image * (1 - 0.55 * (across**2 + down**2))[..., None]
    return image * (1 + 0.035 * gaussian_blur(rng.standard_normal(image.shape[:2]).astype(np.float32), 1.0))[..., None]


def tone_map(image: Array) -> Image.Image:
    """Convert linear light to an sRGB picture: a filmic curve, then the transfer curve."""
    grey = image @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    x = np.clip(grey[..., None] + 1.16 * (image - grey[..., None]), 0, None) * 0.84
    x = np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)
    srgb = np.where(x < 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return Image.fromarray((np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8))


def paint() -> Image.Image:
    """Paint the picture and return it: sRGB, 2016 x 1512."""
    return tone_map(render_scene())


def save_heic(picture: Image.Image, out: Path) -> None:
    """Save a picture like a phone: HEVC in a HEIC, upright, with make, model and time, without a position."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "ArtDream", "Painter"
    exif[ExifTags.Base.Orientation] = 1
    exif[ExifTags.Base.DateTime] = EXIF_DATETIME
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = EXIF_DATETIME
    pillow_heif.from_pillow(picture).save(out, quality=HEIC_QUALITY, exif=exif.tobytes())


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(sample.__file__).with_name("lake.heic")
    save_heic(paint(), target)
