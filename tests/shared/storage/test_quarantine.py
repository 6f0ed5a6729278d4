"""The quarantine keeps the newest rejected files, within bounds."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.storage import quarantine
from shared.storage.quarantine import list_quarantined, quarantine_file


@pytest.fixture(autouse=True)
def _large_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))


def reject(folder: Path, number: int, size: int) -> None:
    path = folder / f"{number}.jpg"
    path.write_bytes(bytes(size))
    reason_file = quarantine_file(path, "", "is damaged", folder)
    os.utime(reason_file, (number, number))


def list_names(folder: Path) -> list[str]:
    return [reason.partition(" ")[0] for _, reason in list_quarantined(folder)]


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_QUARANTINED_FILES", 3), ("MAX_QUARANTINED_BYTES", 3500)], ids=["files", "bytes"]
)
def test_the_oldest_files_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    """Seen failing without limits: the copies of a long run filled the disk."""
    monkeypatch.setattr(quarantine, limit, value)
    for number in range(6):
        reject(tmp_path, number, 1000)
    assert list_names(tmp_path) == ["5.jpg", "4.jpg", "3.jpg"]
    assert len(list((tmp_path / "quarantine").iterdir())) == 6
    reject(tmp_path, 6, 5000)
    assert list_names(tmp_path)[0] == "6.jpg", "the newest is kept, whatever its size"


def test_copies_leave_space_for_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing without a floor: a refused file took the last of the disk."""
    usage = SimpleNamespace(free=quarantine.MIN_FREE_BYTES + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    reject(tmp_path, 1, 1000)
    reject(tmp_path, 2, 1001)
    assert [reason for _, reason in list_quarantined(tmp_path)] == [
        "2.jpg is damaged. No copy of it could be kept: no space left on device.",
        "1.jpg is damaged.",
    ]
    assert (tmp_path / "quarantine" / "unread-1.jpg").exists()
    assert not (tmp_path / "quarantine" / "unread-2.jpg").exists()


def test_room_is_made_before_a_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with room made afterwards: for a moment the quarantine was larger than its limit."""
    monkeypatch.setattr(quarantine, "MAX_QUARANTINED_BYTES", 1500)
    reject(tmp_path, 1, 1000)
    removed = list[bool]()

    def record(folder: Path) -> SimpleNamespace:
        removed.append(not (folder / "unread-1.jpg").exists())
        return SimpleNamespace(free=10**12)

    monkeypatch.setattr(shutil, "disk_usage", record)
    reject(tmp_path, 2, 1000)
    assert removed == [True]
    reject(tmp_path, 2, 1200)
    assert list_names(tmp_path) == ["2.jpg"], "the same file again takes its own place"
