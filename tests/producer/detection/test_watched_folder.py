"""Watched folders: changes are reported, also after a folder was replaced by another of the same name."""

import threading
from pathlib import Path

import pytest

from producer.detection.watched_folder import WatchedFolder
from tests.waiting import WAIT_TIMEOUT_SECONDS


@pytest.mark.parametrize("is_missed", [True, False], ids=["seen while it was away", "replaced at once"])
def test_a_folder_that_was_replaced_is_watched_again(tmp_path: Path, is_missed: bool) -> None:
    """Seen failing with one watch for ever: after a card was put in again, files waited for the next scan."""
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
