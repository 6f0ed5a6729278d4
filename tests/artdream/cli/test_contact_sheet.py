"""Contact sheets of picture files."""

from pathlib import Path

from PIL import Image

from artdream.cli.contact_sheet import CELL_WIDTH, save_contact_sheet


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
