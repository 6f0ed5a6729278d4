"""Logos: pictures of any kind become a PNG without surprises, or are refused with a reason."""

import io
import struct
import zlib

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from display.media.logos import LOGO_LONG_SIDE, MAX_LOGO_BYTES, prepare_logo
from shared.errors import ArtDreamError
from shared.storage.object_names import LOGO_NAME


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def decode(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return image


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("RGB", "RGBA", "L", "P", "I;16")),
        *(("JPEG", mode) for mode in ("RGB", "L", "CMYK")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    ],
)
def test_what_programs_export_becomes_a_png(kind: str, mode: str) -> None:
    image = Image.new("RGB", (60, 30), (200, 30, 60)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.new("I;16", (60, 30), 30_000)
    data = encode(image, kind)
    logo = prepare_logo(data)
    assert decode(logo.png).size == (60, 30)
    assert decode(logo.png).mode in ("RGB", "RGBA")
    assert LOGO_NAME.fullmatch(logo.object_name)
    assert prepare_logo(data).object_name == logo.object_name


def test_a_transparent_margin_is_cut_off_and_transparency_stays() -> None:
    image = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    image.paste((200, 30, 60, 255), (100, 120, 200, 160))
    image.paste((0, 0, 0, 0), (140, 130, 150, 140))
    cut = decode(prepare_logo(encode(image, "PNG")).png)
    assert cut.size == (100, 40)
    assert cut.getpixel((45, 15)) == (0, 0, 0, 0)


def test_a_large_logo_is_made_smaller_and_loses_its_metadata() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "who made it")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(Image.new("RGB", (3200, 800), (1, 2, 3)), "PNG", pnginfo=info, icc_profile=profile)
    logo = decode(prepare_logo(data).png)
    assert logo.size == (LOGO_LONG_SIDE, 400)
    assert logo.info == {}


def make_png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims to have so many pixels, and has none."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((13, body), (0, b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", size) + chunk + struct.pack(">I", zlib.crc32(chunk)) for size, chunk in chunks
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cannot be read"),
        (b"not a picture", "cannot be read"),
        (b'<?xml version="1.0"?><SVG xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></SVG>', "SVG"),
        (encode(Image.new("RGB", (20, 20)), "PNG")[:50], "cannot be read"),
        (encode(Image.new("RGB", (20, 20)), "GIF"), "cannot be read"),
        (encode(Image.new("RGBA", (20, 20), (9, 9, 9, 0)), "PNG"), "transparent everywhere"),
        (make_png_header(50_000, 50_000), "cannot be read"),
        (make_png_header(9_000, 9_000), "megapixels"),
        (bytes(MAX_LOGO_BYTES + 1), "more than 10 MB"),
    ],
)
def test_what_is_no_logo_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ArtDreamError, match=reason):
        prepare_logo(data)
