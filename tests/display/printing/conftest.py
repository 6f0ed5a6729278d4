"""Fixtures of the printing tests: a real CUPS, and print agents in threads of the test's process."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import redis

from display.printing.agent import run
from shared.printing.prints import Print, PrintState
from shared.printing.table import PrintTable
from shared.settings import Settings
from shared.storage.store import Store
from tests.display.fake_pipeline import FakePipeline
from tests.print_server import PrintServer, require_cups
from tests.threads import running_in_thread

GUEST = "0123456789abcdef"

AgentRunner = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="module")
def _print_server() -> Iterator[PrintServer]:
    require_cups()
    server = PrintServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def print_server(_print_server: PrintServer) -> Iterator[PrintServer]:
    """A CUPS with a printer that is as good as new, apart from the numbers of its jobs."""
    _print_server.empty_tray()
    yield _print_server
    _print_server.add_paper()
    _print_server.resume()
    _print_server.accept()
    _print_server.cancel_all()


@pytest.fixture
def print_settings(settings: Settings, print_server: PrintServer) -> Settings:
    return settings.model_copy(update={"printer": print_server.url, "prints_per_guest": 5})


@pytest.fixture
def pipeline(client: redis.Redis, print_settings: Settings) -> FakePipeline:
    return FakePipeline(client, Store(print_settings.store))


@pytest.fixture
def prints(client: redis.Redis) -> PrintTable:
    return PrintTable(client)


@pytest.fixture
def running_agent(print_settings: Settings) -> AgentRunner:
    """Run an agent, which must stop without an error when the context ends. changes: to the settings."""

    def running_agent(**changes: object) -> AbstractContextManager[None]:
        return running_in_thread(lambda stop: run(print_settings.model_copy(update=changes), stop))

    return running_agent


def list_states(prints: PrintTable, job_id: str) -> list[PrintState]:
    """Return the states of the prints of a dream."""
    return [record.state for record in prints.list_of_dream(job_id)]


def list_printed_ids(server: PrintServer) -> list[str]:
    """Return the ids of the prints that came out of the printer, in their order."""
    return [name.split(" ")[2] for name in server.list_printed()]


def order(
    prints: PrintTable, settings: Settings, job_id: str, guest: str = "0123456789abcdef", **options: int
) -> Print:
    """Order a print as a guest; return the first of them."""
    assert prints.request(settings, job_id, guest, event=0.0, **options) == "accepted"
    return prints.list_of_dream(job_id, guest)[0]
