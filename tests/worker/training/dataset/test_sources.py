"""Paintings and their artists are found in folders, file names and tables."""

from pathlib import Path

import pytest

from shared.errors import ArtDreamError
from tests.worker.training.paintings import paint
from worker.training.dataset.painter_by_numbers import WorkFilter
from worker.training.dataset.sources import find_pictures, read_artist_names

TABLE_CSV = """artist,date,genre,pixelsx,pixelsy,size_bytes,source,style,title,artist_group,in_train,new_filename
Anna Rot,c.1912,landscape,96,96,1,wikiart,Cubism,One,train_only,True,1.jpg
Anna Rot,1950.0,landscape,96,96,1,wikiart,Cubism,Two,train_only,True,2.jpg
Bert Blau,,portrait,96,96,1,wikiart,Realism,Three,train_only,True,3.jpg
,1900,portrait,96,96,1,wikiart,Realism,Nobody's,train_only,True,4.jpg
Cleo Grün,1910,portrait,96,96,1,wikiart,Cubism,Lost,train_only,True,5.jpg
"""


def save_painting(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    paint("Anna Rot", 1).save(path)


def test_a_folder_for_each_artist(tmp_path: Path) -> None:
    for name in ("Anna_Rot/1.jpg", "Cleo_Gru\u0308n/deeper/2.png", ".hidden/3.jpg", "Bert_Blau/notes.txt"):
        save_painting(tmp_path / name) if not name.endswith("txt") else None
    assert [(picture.artist, picture.path.name) for picture in find_pictures(tmp_path)] == [
        ("Anna Rot", "1.jpg"),
        ("Cleo Grün", "2.png"),
    ]


def test_names_with_numbers(tmp_path: Path) -> None:
    for name in ("Henri_de_Toulouse-Lautrec_12.jpg", "Anna_Rot_3.jpg", "holiday.jpg"):
        save_painting(tmp_path / name)
    assert [picture.artist for picture in find_pictures(tmp_path)] == ["Anna Rot", "Henri de Toulouse-Lautrec"]


def test_a_table_says_whose_the_files_are_and_which_are_wanted(tmp_path: Path) -> None:
    for number in range(1, 5):
        save_painting(tmp_path / "train" / f"{number}.jpg")
    table = tmp_path / "all_data_info.csv"
    table.write_text(TABLE_CSV, encoding="utf-8")
    files = [(picture.artist, picture.path.name) for picture in find_pictures(tmp_path, table)]
    assert files == [("Anna Rot", "1.jpg"), ("Anna Rot", "2.jpg"), ("Bert Blau", "3.jpg")]
    early = find_pictures(tmp_path, table, WorkFilter(styles=("cubism",), until=1920))
    assert [picture.path.name for picture in early] == ["1.jpg"]
    assert [picture.artist for picture in find_pictures(tmp_path, table, kept_artists=["Bert Blau"])] == ["Bert Blau"]


def test_folders_without_accents_get_the_artists_names(tmp_path: Path) -> None:
    save_painting(tmp_path / "src" / "Cleo_Gruen" / "1.jpg")
    (tmp_path / "artists.csv").write_text("folder,name,years\nCleo_Gruen,Cleo Grün,1900\n", encoding="utf-8")
    assert [
        picture.artist
        for picture in find_pictures(tmp_path / "src", artist_names=read_artist_names(tmp_path / "artists.csv"))
    ] == ["Cleo Grün"]


def test_what_is_no_source_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ArtDreamError, match="No paintings were found in"):
        find_pictures(tmp_path)
    with pytest.raises(ArtDreamError, match="has no column 'date'"):
        find_pictures(tmp_path, tmp_path / "table.csv")
    with pytest.raises(ArtDreamError, match="There is no folder"):
        find_pictures(tmp_path / "nowhere")
