"""Sheets: exact millimetres, no picture cropped, nothing in the margin, and a QR code that phones can read."""

import io
import itertools

import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from display.printing.layout import Box, Shapes, make_layout
from display.printing.paper import PAPERS, Paper
from display.printing.sheet import DPI, SheetContent, draw_sheet, encode_sheet

LINK = "https://dream.example.org/t/" + "Ab3-_xYz90" * 4

SHEETS = ("postcard", "photo-and-dream", "dream")

SIZES = {"landscape": (1536, 1024), "portrait": (1024, 1536), "square": (1024, 1024), "panorama": (1536, 384)}

aspects = st.floats(0.2, 5.0)


def make_corners(size: tuple[int, int]) -> Image.Image:
    """Return a picture in one color whose corners have others, so that a cropped corner is noticed."""
    picture = Image.new("RGB", size, (120, 120, 120))
    side = min(size) // 8
    for x, y, color in ((0, 0, "#c00000"), (1, 0, "#00a000"), (0, 1, "#0000c0"), (1, 1, "#c0a000")):
        left, top = x * (size[0] - side), y * (size[1] - side)
        picture.paste(color, (left, top, left + side, top + side))
    return picture


def to_pixels(millimetres: float) -> int:
    return round(millimetres / 25.4 * DPI)


@given(st.sampled_from(SHEETS), st.sampled_from(list(PAPERS)), aspects, aspects, st.none() | aspects, st.booleans())
def test_whatever_the_shapes_everything_lies_inside_the_margin_and_nothing_on_anything_else(
    sheet: str, paper: str, dream: float, photo: float, logo: float | None, has_qr_code: bool
) -> None:
    layout = make_layout(sheet, PAPERS[paper], Shapes(dream, photo, logo, has_qr_code))  # type: ignore[arg-type]
    width, height = layout.size
    margin = 5.0 * min(layout.size) / 100 - 1e-6
    boxes = [box for box in (layout.dream, layout.photo, layout.text, layout.logo, layout.qr_code) if box]
    for box in boxes:
        assert box.width > 0
        assert box.height > 0
        assert min(box.x, box.y, width - box.x - box.width, height - box.y - box.height) >= margin
    for one, other in itertools.combinations(boxes, 2):
        assert not overlap(one, other)
    assert layout.dream.width / layout.dream.height == pytest.approx(dream)
    if layout.photo:
        assert layout.photo.width / layout.photo.height == pytest.approx(photo)


def overlap(one: Box, other: Box) -> bool:
    gap = 1e-6
    return (
        one.x + gap < other.x + other.width
        and other.x + gap < one.x + one.width
        and one.y + gap < other.y + other.height
        and other.y + gap < one.y + one.height
    )


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("sheet", SHEETS)
def test_a_dream_is_whole_on_every_sheet_and_the_margin_is_white(sheet: str, shape: str) -> None:
    dream = make_corners(SIZES[shape])
    content = SheetContent(
        dream, Image.new("RGB", SIZES[shape], "#303030"), "Long Night", "29 November", None, link=LINK
    )
    paper = PAPERS["10x15"]
    layout = make_layout(sheet, paper, Shapes(dream.width / dream.height, dream.width / dream.height, None, True))  # type: ignore[arg-type]
    image = draw_sheet(sheet, paper, content)  # type: ignore[arg-type]
    assert sorted(image.size) == [1200, 1800]
    box = layout.dream
    place = [to_pixels(edge) for edge in (box.x, box.y, box.x + box.width, box.y + box.height)]
    shown = image.crop((place[0], place[1], place[2], place[3])).resize(dream.size, Image.Resampling.BOX)
    for x, y in itertools.product((4, dream.width - 5), (4, dream.height - 5)):
        difference = ImageChops.difference(shown, dream).getpixel((x, y))
        assert isinstance(difference, tuple)
        assert max(difference) < 40
    margin = to_pixels(5.0)
    inside = Image.new("L", (image.width - 2 * margin, image.height - 2 * margin))
    mask = Image.new("L", image.size, 255)
    mask.paste(inside, (margin, margin))
    white = Image.new("RGB", image.size, "white")
    assert Image.composite(image, white, mask).getextrema() == ((255, 255), (255, 255), (255, 255))


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("shape", SIZES)
def test_a_phone_reads_the_code_of_a_postcard(paper: str, shape: str) -> None:
    content = SheetContent(make_corners(SIZES[shape]), make_corners(SIZES[shape]), "Long Night", link=LINK)
    image = draw_sheet("postcard", PAPERS[paper], content)
    # As a phone sees it that is held half a metre away: far fewer pixels, and not sharp.
    image.thumbnail((1000, 1000), Image.Resampling.BILINEAR)
    assert [code.text for code in zxingcpp.read_barcodes(image)] == [LINK]


@pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS)
def test_a_file_is_upright_and_exactly_as_large_as_the_paper(paper: Paper) -> None:
    image = draw_sheet("dream", paper, SheetContent(make_corners(SIZES["landscape"])))
    pdf = encode_sheet(image, paper, "application/pdf")
    box = pdf.partition(b"/MediaBox [ ")[2].partition(b"]")[0].split()
    assert [float(number) / 72 * 25.4 for number in box] == pytest.approx([0, 0, paper.width, paper.height], abs=0.01)
    jpeg = Image.open(io.BytesIO(encode_sheet(image, paper, "image/jpeg")))
    assert jpeg.size == (min(image.size), max(image.size))
    assert [pixels / dpi * 25.4 for pixels, dpi in zip(jpeg.size, jpeg.info["dpi"], strict=True)] == pytest.approx(
        [paper.width, paper.height], rel=0.004
    )


@pytest.mark.parametrize(
    ("title", "subtitle"),
    [
        ("", ""),
        ("W" * 60, "W" * 120),
        ("Die Lange Nacht der Museen in der Kunsthalle am Großen Markt", "Eine Ausstellung von " + "Künstlern " * 9),
        ("Ōtautahi – Łódź – Ñandú", "“çà”"),
        ("夢の夜", ""),
    ],
)
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("paper", ["10x15", "square"])
def test_no_title_runs_into_anything_else(paper: str, shape: str, title: str, subtitle: str) -> None:
    logo = Image.new("RGBA", (300, 120), (0, 0, 200, 255))
    bare = SheetContent(make_corners(SIZES[shape]), make_corners(SIZES[shape]), "", "", logo, link=LINK)
    image = draw_sheet("postcard", PAPERS[paper], bare)
    written = draw_sheet(
        "postcard", PAPERS[paper], SheetContent(bare.dream, bare.photo, title, subtitle, logo, link=LINK)
    )
    shapes = Shapes(bare.dream.width / bare.dream.height, bare.dream.width / bare.dream.height, 2.5, True)
    text = make_layout("postcard", PAPERS[paper], shapes).text
    assert text
    changed = ImageChops.difference(image, written).getbbox()
    if changed is None:
        assert (title, subtitle) == ("", "")
        return
    slack = 4  # pixels: strokes and commas reach a little over their line
    assert changed[0] >= to_pixels(text.x) - slack
    assert changed[1] >= to_pixels(text.y) - slack
    assert changed[2] <= to_pixels(text.x + text.width) + slack
    assert changed[3] <= to_pixels(text.y + text.height) + 3 * slack


def test_a_logo_keeps_its_transparency() -> None:
    logo = Image.new("RGBA", (200, 100), (255, 0, 0, 0))
    logo.paste((0, 0, 255, 255), (0, 0, 100, 100))
    content = SheetContent(make_corners(SIZES["landscape"]), None, "", "", logo)
    layout = make_layout("postcard", PAPERS["a6"], Shapes(1.5, None, 2.0, False))
    assert layout.logo
    image = draw_sheet("postcard", PAPERS["a6"], content)
    y = to_pixels(layout.logo.y + layout.logo.height / 2)
    left, right = (image.getpixel((to_pixels(layout.logo.x + share * layout.logo.width), y)) for share in (0.2, 0.8))
    assert (left, right) == ((0, 0, 255), (255, 255, 255))
