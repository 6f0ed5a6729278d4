"""The sender, with a print server that cannot be reached."""

import pytest
import redis

from display.printing.follower import DreamFollower
from display.printing.queue import PrintQueue
from display.printing.sender import SheetSender
from shared.printing.prints import PrintState
from shared.printing.table import PrintTable
from shared.settings import Settings
from shared.storage.store import Store
from tests.display.fake_pipeline import FakePipeline
from tests.display.printing.conftest import list_states, order
from tests.stack import free_port


class CountingStore(Store):
    """A store that counts what is read."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.reads = 0

    def get(self, name: str) -> bytes | None:
        """Return an object, and count."""
        self.reads += 1
        return super().get(name)


def test_while_the_print_server_is_away_a_sheet_is_not_drawn_again_and_again(
    client: redis.Redis, settings: Settings, prints: PrintTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: dream, photo and logo were fetched and decoded each second, from a bucket for money."""
    monkeypatch.setattr("display.printing.sender.RETRY_SECONDS", 0)
    store = CountingStore(settings.store)
    job = FakePipeline(client, store).add_dream((10, 90, 40))
    order(prints, settings.model_copy(update={"prints_per_guest": 1}), job.id)
    follower = DreamFollower(settings, client, store)
    sender = SheetSender(settings, store, PrintQueue(f"ipp://127.0.0.1:{free_port()}/printers/Booth"))
    store.reads = 0
    for _ in range(5):
        assert sender.process(prints, follower, lambda: True) == 1
    assert store.reads <= 1
    assert list_states(prints, job.id) == [PrintState.REQUESTED]
