"""Other accounts of a machine see nothing of a data folder, whichever component creates it."""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from artdream.stack.report import ConsoleReport
from artdream.stack.supervisor import Supervisor
from display.media.disk_cache import DiskCache
from display.pages.share_links import ShareLinks
from producer.detection.guest_uploads import GuestUploadFolder
from producer.ledger import Ledger
from shared.private_folder import create_private_folder
from shared.settings import Settings
from shared.storage.quarantine import quarantine_file
from shared.storage.store import Store

#: What creates a data folder that is missing.
CREATORS: dict[str, Callable[[Settings], object]] = {
    "up": lambda settings: Supervisor(settings, workers=0, demo=False, report=ConsoleReport(Console())),
    "store": lambda settings: Store(settings.store).put("photos/1.jpg", b"photo"),
    "ledger": lambda settings: Ledger(settings.data).close(),
    "uploads": lambda settings: GuestUploadFolder(settings.data, threading.Event()),
    "links": ShareLinks,
    "cache": lambda settings: DiskCache(settings.data / "cache", 1),
    "quarantine": lambda settings: quarantine_file(Path(__file__), "", "is no photo", settings.data),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "museum" / "data", broker_url="redis://127.0.0.1", _env_file=None)


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    previous = os.umask(0o022)
    yield
    os.umask(previous)


@pytest.mark.parametrize("name", CREATORS)
def test_a_new_data_folder_is_for_its_owner_only(name: str, settings: Settings) -> None:
    """Seen failing: any account of the machine could read the guests' photos."""
    CREATORS[name](settings)
    assert stat.S_IMODE(settings.data.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", CREATORS)
def test_a_folder_that_exists_keeps_its_mode(name: str, settings: Settings) -> None:
    settings.data.mkdir(parents=True)
    settings.data.chmod(0o2770)
    CREATORS[name](settings)
    assert stat.S_IMODE(settings.data.stat().st_mode) == 0o2770


def test_a_file_in_its_place_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(FileExistsError):
        create_private_folder(tmp_path / "data")
