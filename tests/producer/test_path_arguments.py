"""Path arguments: files, folders, patterns and lists of paths."""

import io
from pathlib import Path

import pytest

from producer.path_arguments import expand_path_arguments
from shared.errors import ArtDreamError


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.jpg", "a.heic", "deep/er/c.png", ".hidden.jpg", ".git/d.jpg", "e.jpg.part"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "album"


def test_a_folder_means_all_that_is_in_it_and_below(album: Path) -> None:
    assert [str(path) for path in expand_path_arguments(["album"])] == [
        "album/a.heic",
        "album/b.jpg",
        "album/deep/er/c.png",
    ]


def test_a_pattern_that_the_shell_left_alone_is_expanded(album: Path) -> None:
    assert [str(path) for path in expand_path_arguments(["album/*.jpg"])] == ["album/b.jpg"]
    assert [path.name for path in expand_path_arguments([f"{album}/**/c.*"])] == ["c.png"]
    with pytest.raises(ArtDreamError, match=r"No file matches nothing\*\."):
        list(expand_path_arguments(["nothing*"]))


def test_a_list_of_paths_comes_from_a_file_or_from_standard_input(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (album.parent / "list.txt").write_text("album/b.jpg\n\nalbum/deep\n")
    assert [path.name for path in expand_path_arguments(["list.txt"])] == ["b.jpg", "c.png"]
    monkeypatch.setattr("sys.stdin", io.StringIO("album/a.heic\r\n"))
    assert [path.name for path in expand_path_arguments(["-"])] == ["a.heic"]


def test_what_is_named_twice_is_meant_once_and_what_does_not_exist_is_kept(album: Path) -> None:
    names = ["album/b.jpg", "album", str(album / "b.jpg"), "gone.jpg"]
    assert [path.name for path in expand_path_arguments(names)] == ["b.jpg", "a.heic", "c.png", "gone.jpg"]
