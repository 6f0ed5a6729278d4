"""What a program was told to be on disk survives a power cut."""

import fcntl
import os
from pathlib import Path

import pytest

from shared.durability import flush_path


def test_on_a_mac_the_drive_writes_its_cache_where_the_file_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands, synced = list[int](), list[int]()
    is_supported = True

    def record_command(_descriptor: int, command: int) -> int:
        commands.append(command)
        if not is_supported:
            raise OSError
        return 0

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", record_command)
    monkeypatch.setattr(os, "fsync", synced.append)
    flush_path(tmp_path)
    assert (commands, synced) == ([51], [])
    is_supported = False
    flush_path(tmp_path)
    assert len(synced) == 1
