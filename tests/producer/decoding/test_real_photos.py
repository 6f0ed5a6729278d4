"""Real photos of phones and cameras in ../shared/data; skipped if that folder is missing."""

import io
from pathlib import Path

import pytest
from PIL import Image

from producer.decoding.convert import convert
from producer.decoding.formats import Unreadable

DATA_FOLDER = Path(__file__).parents[3] / "../shared/data"
HEIC_FOLDER = DATA_FOLDER / "heic"

pytestmark = pytest.mark.skipif(not HEIC_FOLDER.is_dir(), reason="../shared/data is not here")

#: Part of a file name → whether the upright photo is taller than wide, read off a contact sheet.
IS_PORTRAIT = {
    "arrow": True,
    "pug": False,
    "iPhoneXR": False,
    "live-image": True,
    "IMG_2927": True,
    "Issue_263": True,
    "IMG_5195": True,
    "iphone_13_pro_max": True,
    "IMG_2682": False,
}


def list_files(folder: str) -> list[Path]:
    return sorted((HEIC_FOLDER / folder).glob("*"))


def open_converted(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(convert(path.read_bytes()).jpeg))


@pytest.mark.parametrize("path", list_files("iphone"), ids=lambda path: path.name[-24:])
def test_an_iphone_s_photo_is_upright(path: Path) -> None:
    (portrait,) = [portrait for name, portrait in IS_PORTRAIT.items() if name in path.name]
    with open_converted(path) as image:
        assert (image.height > image.width) is portrait
        assert not image.getexif()
        assert not {"icc_profile", "exif", "xmp", "comment"} & image.info.keys()
        assert max(image.size) == 1536


def test_the_arrow_points_up() -> None:
    """The arrow's head is broad and in the upper half; its shaft is narrow and ends below the middle."""
    (path,) = [path for path in list_files("iphone") if "arrow" in path.name]
    with open_converted(path) as image:
        dark = image.convert("L").point(lambda value: 255 if value < 70 else 0)
        left, top, right, bottom = dark.getbbox() or (0, 0, 0, 0)
        assert bottom - top > 0.5 * image.height
        head, tail = dark.crop((0, top, image.width, top + 60)), dark.crop((0, bottom - 60, image.width, bottom))
        tip, foot = head.getbbox() or (0, 0, 0, 0), tail.getbbox() or (0, 0, 0, 0)
        assert tip[2] - tip[0] < 0.5 * (foot[2] - foot[0])  # the tip is above, the end of the shaft below
        assert right - left > 1.3 * (foot[2] - foot[0])


@pytest.mark.parametrize("path", list_files("other_cameras"), ids=lambda path: path.name[-24:])
def test_other_phones_photos_are_taken(path: Path) -> None:
    with open_converted(path) as image:
        assert image.size in {(1661, 768), (1536, 1152), (1152, 1536)}  # 4000 × 1848, and 4:3


@pytest.mark.parametrize("path", list_files("broken"), ids=lambda path: path.name[-24:])
def test_every_broken_file_is_refused(path: Path) -> None:
    with pytest.raises(Unreadable, match=r"^is (empty$|damaged: )"):
        convert(path.read_bytes())


@pytest.mark.parametrize(
    "path", [path for path in list_files("odd") if "truncated" not in path.name], ids=lambda path: path.name[-24:]
)
def test_odd_files_are_taken_too(path: Path) -> None:
    with open_converted(path) as image:
        assert max(image.size) <= 1536


def test_a_file_whose_last_byte_is_missing_is_not_whole() -> None:
    (path,) = [path for path in list_files("odd") if "truncated" in path.name]
    with pytest.raises(Unreadable, match="is damaged: the file ends too early"):
        convert(path.read_bytes())


@pytest.mark.parametrize("path", sorted((DATA_FOLDER / "photos").glob("*.jpg")), ids=lambda path: path.name[-24:])
def test_photographs_from_cameras_are_taken(path: Path) -> None:
    with open_converted(path) as image:
        assert 1000 < max(image.size) <= 1536
        assert not image.getexif()
