"""Contact sheets of picture files."""

from pathlib import Path

import pytest
from PIL import Image

from artdream.cli.contact_sheet import CELL_WIDTH, save_contact_sheet
from shared.errors import ArtDreamError
from tests.stack import run_in_process


def test_a_sheet_has_a_square_section_of_each_file_and_may_have_empty_cells(tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), (200, 30, 30)).save(tmp_path / "red.png")
    cells = [("Anna Rot", "1", tmp_path / "red.png"), ("", "", None), ("Anna Rot", "2", tmp_path / "red.png")]
    save_contact_sheet(cells, tmp_path / "sheet.png", columns=2)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 2 * CELL_WIDTH
        assert sheet.height > 2 * CELL_WIDTH
        colors = [sheet.getpixel((x, CELL_WIDTH // 2)) for x in (CELL_WIDTH // 2, sheet.width - CELL_WIDTH // 2)]
    assert colors[0] == (200, 30, 30)
    assert colors[1] != (200, 30, 30)


@pytest.mark.parametrize(
    ("sheet", "sentence"),
    [
        ("sheet.gif", "A contact sheet is a JPEG or PNG: end sheet.gif with .jpg or .png."),
        ("nowhere/sheet.png", "The folder of nowhere/sheet.png does not exist: create it first."),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ("dataset", "report", "data"),
        ("styles", "artist/masters-robust", "--dataset", "data"),
        ("train-stylizer", "--pictures", "photos", "--out", "stylizer"),
    ],
    ids=["dataset report", "styles", "train-stylizer"],
)
def test_a_sheet_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, command: tuple[str, ...], sheet: str, sentence: str
) -> None:
    completed = run_in_process(*command, "--sheet", sheet, folder=tmp_path)
    assert (completed.returncode, completed.stderr) == (2, f"artdream: {sentence}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    Image.new("RGB", (90, 60)).save(tmp_path / "a.png")
    (tmp_path / "full.png").symlink_to("/dev/full")
    with pytest.raises(ArtDreamError, match=r"full.png cannot be written: No space left on device\."):
        save_contact_sheet([("", "", tmp_path / "a.png")], tmp_path / "full.png")
