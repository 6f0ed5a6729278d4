"""Watched folders: changes are reported, also after a folder was replaced by another of the same name, and on a Mac."""

import errno
import importlib
import os
import sys
import threading
import unicodedata
from pathlib import Path

import pytest

from producer.detection.watched_folder import InboxFolder, WatchedFolder
from tests.producer.detection.fsevents import Flag, FSEvents
from tests.waiting import WAIT_TIMEOUT_SECONDS


@pytest.mark.parametrize("is_missed", [True, False], ids=["seen while it was missing", "replaced at once"])
def test_a_folder_that_was_replaced_is_watched_again(tmp_path: Path, is_missed: bool) -> None:
    """Seen failing with one watch forever: after a card was put in again, files waited for the next scan."""
    path, changed = tmp_path / "card", threading.Event()
    path.mkdir()
    with WatchedFolder(path, changed) as folder:
        path.rename(tmp_path / "unplugged")
        if is_missed:
            assert folder.list_files() == {}
        path.mkdir()
        assert folder.list_files() == {}
        changed.clear()
        (path / "a.jpg").write_bytes(b"a photo")
        assert changed.wait(WAIT_TIMEOUT_SECONDS)
        assert [file.name for file in folder.list_files()] == ["a.jpg"]


def fail_to_scan(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    """Let reading the folders of a name fail."""
    scandir = os.scandir

    def fail(path: Path) -> object:
        if Path(path).name == name:
            raise OSError(code, os.strerror(code), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fail)


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EPERM, errno.ENOENT, errno.ENOTDIR])
def test_a_folder_in_the_inbox_that_cannot_be_read_is_left_out_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    """Seen failing: the whole inbox was unavailable."""
    for path in (tmp_path / "a.jpg", tmp_path / "broken" / "b.jpg", tmp_path / "card" / "c.jpg"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    folder = InboxFolder(tmp_path, threading.Event(), tmp_path / "data")
    with monkeypatch.context() as context:
        fail_to_scan(context, "broken", code)
        for _ in range(3):
            assert sorted(path.name for path in folder.list_files()) == ["a.jpg", "c.jpg"]
    assert sorted(path.name for path in folder.list_files()) == ["a.jpg", "b.jpg", "c.jpg"]
    messages = [
        f"The folder {tmp_path}/broken is left out, as it cannot be read: {os.strerror(code)}.",
        f"The folder {tmp_path}/broken can be read again.",
    ]
    assert [record.message for record in caplog.records] == ([] if code in (errno.ENOENT, errno.ENOTDIR) else messages)


def test_an_inbox_that_cannot_be_read_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = InboxFolder(tmp_path, threading.Event(), tmp_path / "data")
    fail_to_scan(monkeypatch, tmp_path.name, errno.EIO)
    assert folder.list_files() == {}
    assert [record.message for record in caplog.records] == [
        f"The folder {tmp_path} is unavailable ({os.strerror(errno.EIO)}); waiting for it."
    ]


@pytest.fixture
def fsevents(monkeypatch: pytest.MonkeyPatch) -> FSEvents:
    """FSEvents, in place of the file events of this system, under watchdog's observer for macOS."""
    system = FSEvents()
    monkeypatch.setitem(sys.modules, "_watchdog_fsevents", system)
    monkeypatch.delitem(sys.modules, "watchdog.observers.fsevents", raising=False)
    observer = importlib.import_module("watchdog.observers.fsevents").FSEventsObserver
    monkeypatch.setattr("producer.detection.watched_folder.Observer", observer)
    monkeypatch.setattr(sys, "platform", "darwin")
    return system


#: What FSEvents reports of a file in the folder, by what happened.
FILE_EVENTS = {
    "created and written": [Flag.CREATED | Flag.FILE, Flag.MODIFIED | Flag.FILE],
    "coalesced": [
        Flag.CREATED
        | Flag.MODIFIED
        | Flag.RENAMED
        | Flag.FINDER_INFO_MOD
        | Flag.XATTR_MOD
        | Flag.OWNER_CHANGE
        | Flag.FILE
    ],
    "moved in": [Flag.RENAMED | Flag.FILE],
    "only its attributes, as creation was reported before": [Flag.CREATED | Flag.XATTR_MOD | Flag.FILE],
}


@pytest.mark.parametrize("flags", FILE_EVENTS.values(), ids=FILE_EVENTS.keys())
def test_whatever_a_mac_reports_of_a_new_file_is_a_change(
    tmp_path: Path, fsevents: FSEvents, flags: list[Flag]
) -> None:
    changed = threading.Event()
    with WatchedFolder(tmp_path, changed):
        (tmp_path / "IMG_0001.HEIC").write_bytes(b"a photo")
        fsevents.report(*[(tmp_path / "IMG_0001.HEIC", flag) for flag in flags])
        assert changed.wait(WAIT_TIMEOUT_SECONDS)


def test_a_rename_and_a_change_of_the_folder_alone_are_changes_on_a_mac(tmp_path: Path, fsevents: FSEvents) -> None:
    changed, old, new = threading.Event(), tmp_path / "img_0001.heic.download", tmp_path / "IMG_0001.HEIC"
    old.write_bytes(b"a photo")
    with WatchedFolder(tmp_path, changed) as folder:
        old.rename(new)
        for events in (
            [(old, Flag.RENAMED | Flag.FILE), (new, Flag.RENAMED | Flag.FILE)],
            [(old, Flag.RENAMED | Flag.FILE)],
            [(tmp_path, Flag.MODIFIED | Flag.DIRECTORY)],
        ):
            fsevents.report(*events)
            assert changed.wait(WAIT_TIMEOUT_SECONDS), events
            changed.clear()
        assert [file.name for file in folder.list_files()] == ["IMG_0001.HEIC"]


@pytest.mark.parametrize(
    ("watched", "on_disk"),
    [
        ("downloads", "Downloads"),
        (unicodedata.normalize("NFC", "Für Gäste"), unicodedata.normalize("NFD", "Für Gäste")),
    ],
    ids=["in another case", "composed otherwise"],
)
def test_a_folder_may_be_named_as_a_mac_finds_it_too(
    tmp_path: Path, fsevents: FSEvents, watched: str, on_disk: str
) -> None:
    """Seen failing: watchdog compares the two spellings and drops every event, so that each photo waited for a scan."""
    changed = threading.Event()
    for name in (watched, on_disk):  # on a Mac, both name one folder
        (tmp_path / name).mkdir(exist_ok=True)
    with WatchedFolder(tmp_path / watched, changed):
        fsevents.report((tmp_path / on_disk / "IMG_0001.HEIC", Flag.CREATED | Flag.FILE))
        assert changed.wait(WAIT_TIMEOUT_SECONDS)


def test_a_card_that_is_put_in_again_is_watched_again_on_a_mac(tmp_path: Path, fsevents: FSEvents) -> None:
    path, changed = tmp_path / "card", threading.Event()
    path.mkdir()
    with WatchedFolder(path, changed) as folder:
        path.rename(tmp_path / "unplugged")
        fsevents.report((path, Flag.ROOT_CHANGED))  # the last that this stream reports
        assert changed.wait(WAIT_TIMEOUT_SECONDS)
        path.mkdir()
        assert folder.list_files() == {}
        changed.clear()
        fsevents.report((path / "IMG_0001.HEIC", Flag.CREATED | Flag.FILE))
        assert changed.wait(WAIT_TIMEOUT_SECONDS)


def test_if_a_mac_reports_no_changes_the_folder_is_looked_at_every_few_seconds(
    tmp_path: Path, fsevents: FSEvents, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing: watchdog's SystemError ended the producer, at its start and when a card was put in again."""
    path, changed = tmp_path / "card", threading.Event()
    path.mkdir()
    with WatchedFolder(path, changed) as folder:
        path.rename(tmp_path / "unplugged")
        path.mkdir()
        (path / "IMG_0001.HEIC").write_bytes(b"a photo")
        fsevents.starts = False
        assert [file.name for file in folder.list_files()] == ["IMG_0001.HEIC"]
    with WatchedFolder(path, changed) as folder:
        assert [file.name for file in folder.list_files()] == ["IMG_0001.HEIC"]
    assert caplog.text.count("are not reported (Cannot start fsevents stream.") == 2
