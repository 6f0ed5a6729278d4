"""The selection of artists survives editing in spreadsheets, and the next run."""

from pathlib import Path

import pytest

from shared.errors import ArtDreamError
from worker.training.dataset.artist_selection import (
    SelectionRow,
    merge_selection,
    read_kept_artists,
    read_selection,
    write_selection,
)


def test_notes_and_decisions_survive_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "artists.csv"
    write_selection(path, merge_selection([], {"Anna Rot": 300, "Bert Blau": 250, "Cleo Grün": 10}, min_works=200))
    assert [(row.artist, row.keep) for row in read_selection(path)] == [
        ("Anna Rot", True),
        ("Bert Blau", True),
        ("Cleo Grün", False),
    ]
    edited = [row._replace(keep=not row.keep, note=f"“{row.artist}”, looked at; ok") for row in read_selection(path)]
    write_selection(path, edited)
    merged = merge_selection(read_selection(path), {"Bert Blau": 400, "Cleo Grün": 10, "Dora Grau": 500}, min_works=200)
    assert merged == [
        SelectionRow("Dora Grau", 500, True, ""),
        SelectionRow("Bert Blau", 400, False, "“Bert Blau”, looked at; ok"),
        SelectionRow("Cleo Grün", 10, True, "“Cleo Grün”, looked at; ok"),
        SelectionRow("Anna Rot", 0, False, "“Anna Rot”, looked at; ok"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffartist;works;keep;note\r\nCleo Grün;10;Yes;a, b\r\nAnna Rot;3;NO;\r\n",
        "note,Keep,Artist,my own column\n“a, b”,x,Cleo Grün,!\n,0,Anna Rot,?\n".replace("“a, b”", '"a, b"'),
        "artist\tkeep\tnote\nCleo Grün\tTRUE\ta, b\nAnna Rot\tfalse\t\n\t\t\n",
    ],
)
def test_it_is_read_as_any_spreadsheet_leaves_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "artists.csv"
    path.write_bytes(text.encode())
    assert {row.artist: (row.keep, row.note) for row in read_selection(path)} == {
        "Cleo Grün": (True, "a, b"),
        "Anna Rot": (False, ""),
    }
    assert read_kept_artists(path) == ["Cleo Grün"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"artist,keep\nAnna Rot,perhaps\n", "line 2: “perhaps” is neither yes nor no"),
        (b"name,keep\nAnna Rot,yes\n", "has no column “artist”"),
        (b"artist,keep\nAnna Rot,no\n", "keeps nobody"),
        ("artist,keep\nCleo Grün,yes\n".encode("latin-1"), "save it as CSV in UTF-8"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "artists.csv").write_bytes(content)
    with pytest.raises(ArtDreamError, match=message):
        read_kept_artists(tmp_path / "artists.csv")
