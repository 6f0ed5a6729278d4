"""The quarantine keeps the newest rejected files, within bounds."""

import os
from pathlib import Path

import pytest

from shared.storage import quarantine
from shared.storage.quarantine import list_quarantined, quarantine_file


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
