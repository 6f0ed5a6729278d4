"""Sheets: draw a dream with its photo, title, logo and QR code on paper, at 300 dpi in exact millimetres, in sRGB."""

import io
from dataclasses import dataclass, replace

import segno
from PIL import Image, ImageDraw

from display.printing.layout import Box, Layout, Shapes, SheetName, make_layout
from display.printing.paper import Paper
from shared.typeface import Style, draw_text, measure_text

#: Pixels per inch.
DPI = 300

_MM_PER_INCH = 25.4

_PAPER_COLOR, _INK_COLOR, _MUTED_COLOR = "#ffffff", "#1c1915", "#6b6358"

#: JPEG quality of the sheet, also inside a PDF.
_QUALITY = 94

#: Millimetres on a sheet that is 100 mm wide: heights of the type, and the accent's line.
_TITLE_SIZE, _SUBTITLE_SIZE = 5.4, 3.3
_LINE_HEIGHT = 1.14
_RULE_WIDTH, _RULE_HEIGHT, _RULE_GAP = 8.0, 0.5, 1.6


@dataclass(frozen=True)
class SheetContent:
    """What is on a sheet. Pictures are upright and in sRGB."""

    dream: Image.Image
    photo: Image.Image | None = None
    title: str = ""
    subtitle: str = ""
    #: With or without transparency.
    logo: Image.Image | None = None
    #: As #rrggbb.
    accent: str = "#c9a76a"
    #: Where the QR code leads; None for no code.
    link: str | None = None


def draw_sheet(sheet: SheetName, paper: Paper, content: SheetContent) -> Image.Image:
    """Return a sheet as a picture in RGB. It lies on its side if the dream is larger so. No picture is cropped."""
    shapes = Shapes(
        _get_aspect(content.dream),
        _get_aspect(content.photo) if content.photo else None,
        _get_aspect(content.logo) if content.logo else None,
        content.link is not None,
    )
    layout = make_layout(sheet, paper, shapes)
    image = Image.new("RGB", (_to_pixels(layout.size[0]), _to_pixels(layout.size[1])), _PAPER_COLOR)
    _paste(image, content.dream, layout.dream)
    if content.photo and layout.photo:
        _paste(image, content.photo, layout.photo)
    if content.logo and layout.logo:
        _paste(image, content.logo, layout.logo)
    if content.link and layout.qr_code:
        _draw_qr_code(image, content.link, layout.qr_code, is_column=layout.is_column)
    if layout.text:
        _draw_texts(image, content, layout, layout.text)
    return image


def encode_sheet(image: Image.Image, paper: Paper, media_type: str) -> bytes:
    """Return a sheet as a file that is upright and exactly as large as the paper. media_type: of PDF or of JPEG."""
    if image.width > image.height:
        image = image.transpose(Image.Transpose.ROTATE_90)
    buffer = io.BytesIO()
    # Pixels are whole, paper is not: the resolution makes up for the difference.
    dpi = (image.width / paper.width * _MM_PER_INCH, image.height / paper.height * _MM_PER_INCH)
    kind = "PDF" if media_type == "application/pdf" else "JPEG"
    image.save(buffer, kind, dpi=dpi, quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


def _get_aspect(picture: Image.Image) -> float:
    return picture.width / picture.height


def _to_pixels(millimetres: float) -> int:
    return round(millimetres / _MM_PER_INCH * DPI)


def _paste(image: Image.Image, picture: Image.Image, box: Box) -> None:
    x, y = _to_pixels(box.x), _to_pixels(box.y)
    size = (max(1, _to_pixels(box.x + box.width) - x), max(1, _to_pixels(box.y + box.height) - y))
    if picture.has_transparency_data:
        # Premultiplied, or the colors of transparent pixels would show at the edges.
        scaled = picture.convert("RGBA").convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
        image.paste(scaled, (x, y), scaled)
    else:
        image.paste(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), (x, y))


def _draw_qr_code(image: Image.Image, link: str, box: Box, *, is_column: bool) -> None:
    """Draw a QR code whose modules are whole pixels. The white around it is its quiet zone."""
    rows = tuple(segno.make(link, error="m", micro=False, boost_error=False).matrix)
    side = max(1, _to_pixels(box.width) // len(rows))
    code = Image.new("L", (len(rows), len(rows)))
    code.putdata([255 if dark else 0 for row in rows for dark in row])
    code = code.resize((side * len(rows), side * len(rows)), Image.Resampling.NEAREST)
    # In a footer it ends at the right edge, in a column it begins at the left one.
    x = _to_pixels(box.x) if is_column else _to_pixels(box.x + box.width) - code.width
    image.paste(Image.new("RGB", code.size, _INK_COLOR), (x, _to_pixels(box.y + box.height) - code.height), code)


def _draw_texts(image: Image.Image, content: SheetContent, layout: Layout, box: Box) -> None:
    """Draw a line in the accent's color, the title below it, and the subtitle, as large as there is room for."""
    if not content.title and not content.subtitle:
        return
    draw, scale = ImageDraw.Draw(image), layout.scale
    lines = _set_texts(content.title, content.subtitle, box, scale, most_title_lines=4 if layout.is_column else 2)
    y = box.y if layout.is_column else box.y + max(0.0, (box.height - _measure_height(lines, scale)) / 2)
    corners = (box.x, y, box.x + _RULE_WIDTH * scale, y + _RULE_HEIGHT * scale)
    draw.rectangle([_to_pixels(corner) for corner in corners], fill=content.accent)
    y += (_RULE_HEIGHT + _RULE_GAP) * scale
    for line in lines:
        y += _LINE_HEIGHT * line.size
        baseline = (_to_pixels(box.x), _to_pixels(y - 0.26 * line.size))
        color = _INK_COLOR if line.style is Style.TITLE else _MUTED_COLOR
        draw_text(draw, baseline, line.text, line.style, _to_pixels(line.size), color)


@dataclass(frozen=True)
class _Line:
    """A line of text. size: height of its type in millimetres."""

    text: str
    style: Style
    size: float


def _set_texts(title: str, subtitle: str, box: Box, scale: float, *, most_title_lines: int) -> list[_Line]:
    """Return the lines of title and subtitle: as large as there is room for, and the title in few lines.

    What does not fit even when it is small is cut.
    """
    tries = [(percent, 1) for percent in range(100, 69, -5)]
    tries += [(percent, most) for percent in range(100, 49, -5) for most in range(2, most_title_lines + 1)]
    for percent, most in tries:
        titles = _set_text(title, Style.TITLE, _TITLE_SIZE * scale * percent / 100, box.width)
        subtitles = _set_text(subtitle, Style.ITALIC, _SUBTITLE_SIZE * scale * max(percent, 65) / 100, box.width)
        lines = titles + subtitles
        is_narrow = all(_fits(line.text, line.style, line.size, box.width) for line in lines)
        if len(titles) <= most and len(subtitles) <= 2 and is_narrow and _measure_height(lines, scale) <= box.height:
            return lines
    cut = titles[:most_title_lines] + subtitles[:2]
    return [replace(line, text=_cut(line.text, line.style, line.size, box.width)) for line in cut]


def _measure_height(lines: list[_Line], scale: float) -> float:
    """Return the height of lines with the accent's line above them, in millimetres."""
    return (_RULE_HEIGHT + _RULE_GAP) * scale + sum(_LINE_HEIGHT * line.size for line in lines)


def _set_text(text: str, style: Style, size: float, width: float) -> list[_Line]:
    return [_Line(line, style, size) for line in _wrap(text, style, size, width)]


def _wrap(text: str, style: Style, size: float, width: float) -> list[str]:
    """Wrap a text between words, and return its lines. size, width: in millimetres."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _fits(longer, style, size, width):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _fits(text: str, style: Style, size: float, width: float) -> bool:
    return measure_text(text, style, _to_pixels(size)) <= _to_pixels(width)


def _cut(text: str, style: Style, size: float, width: float) -> str:
    """Return a text, or as much of it as fits with an ellipsis after it."""
    if _fits(text, style, size, width):
        return text
    return next(
        (f"{text[:end].rstrip()}…" for end in range(len(text), 0, -1) if _fits(f"{text[:end]}…", style, size, width)),
        "",
    )
