"""Path arguments: files, folders, patterns and lists of paths."""

import contextlib
import errno
import io
import os
from collections.abc import Iterator
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


@pytest.mark.parametrize(
    "argument",
    [
        *(
            "~IMG.jpg",
            "~$x.jpg",
            "~no-such-user/a.jpg",
            "a\0b.jpg",
            "a\0*",
            "\0/*.jpg",
            "x" * 300,
            "x" * 300 + "/*",
        ),
        *("caf\udce9.jpg", "**x", "album/**.jpg", "[", "[z-a]*", "/\0*", "*/\0", "." * 300 + "*", ""),
    ],
    ids=lambda argument: repr(argument)[:20],
)
@pytest.mark.usefixtures("album")
def test_whatever_is_named_is_yielded_or_refused_in_one_sentence(
    argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with RuntimeError, ValueError and OSError, after earlier files were sent."""
    with contextlib.suppress(ArtDreamError):
        paths = list(expand_path_arguments(["album/b.jpg", argument]))
        assert paths[0] == Path("album/b.jpg")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{argument}\nalbum/b.jpg\n"))
    assert Path("album/b.jpg") in expand_path_arguments(["-"])


def test_a_tilde_that_begins_a_name_is_part_of_it_and_else_means_the_home(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(album))
    Path("~IMG.jpg").touch()
    assert [str(path) for path in expand_path_arguments(["~IMG.jpg", "~/b.jpg"])] == ["~IMG.jpg", f"{album}/b.jpg"]


def test_names_in_any_encoding_come_from_standard_input(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with UnicodeDecodeError."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9.jpg\n"), encoding="utf-8"))
    assert [os.fsencode(path) for path in expand_path_arguments(["-"])] == [b"caf\xe9.jpg"]


def test_what_may_not_be_looked_at_is_kept(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with PermissionError below a folder that may not be entered. The tests may run as root."""
    stat = Path.stat

    def fail_below(path: Path, **options: bool) -> os.stat_result:
        if "deep" in path.parts[:-1]:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", fail_below)
    assert list(expand_path_arguments(["album/deep/c.png"])) == [Path("album/deep/c.png")]


def test_a_folder_that_cannot_be_read_is_yielded_so_that_the_batch_is_not_quietly_incomplete(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: its files were left out without a word."""
    scandir = os.scandir

    def fail_in_deep(path: str) -> "Iterator[os.DirEntry[str]]":
        if os.path.basename(path) == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fail_in_deep)
    assert [str(path) for path in expand_path_arguments(["album"])] == ["album/a.heic", "album/b.jpg", "album/deep"]


def test_a_list_that_cannot_be_read_is_one_sentence(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("list.txt").touch()

    def fail(path: Path, **_: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(ArtDreamError, match=r"^The list list\.txt cannot be read: Permission denied\.$"):
        list(expand_path_arguments(["list.txt"]))
