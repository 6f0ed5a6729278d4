"""Agent, broker and print server are killed with -9 over a batch of prints: each sheet comes out exactly once."""

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from shared.printing.table import PrintTable
from shared.settings import Settings
from tests.display.fake_pipeline import FakePipeline
from tests.display.printing.conftest import list_printed_ids, order
from tests.display.printing.killing_proxy import KillingProxy, Moment
from tests.print_server import PrintServer
from tests.stack import start_artdream
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

PRINT_COUNT, KILL_COUNT = 24, 8


class AgentProcess:
    """`artdream print` in a process that is killed and started again."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the agent, as launchd does at once when it has died."""
        with (self._folder / "agent.log").open("ab") as log:
            self._process = start_artdream(
                "print", folder=self._folder, environment=self._settings.to_environment(), stderr=log, stdout=log
            )

    def kill(self) -> None:
        """Kill the agent with -9."""
        if self._process:
            self._process.kill()
            self._process.wait()

    @property
    def has_ended(self) -> bool:
        """Whether it was killed."""
        return self._process is not None and self._process.poll() is not None

    def read_log(self) -> str:
        """Return what the agent has logged."""
        return (self._folder / "agent.log").read_text()


@contextmanager
def killed_in_the_end(agent: AgentProcess) -> Iterator[None]:
    try:
        yield
    finally:
        agent.kill()


def test_each_sheet_comes_out_once_however_often_the_agent_is_killed(
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
    tmp_path: Path,
) -> None:
    settings = print_settings.model_copy(update={"prints_per_guest": PRINT_COUNT})
    jobs = [pipeline.add_dream((30 * n, 90, 30)) for n in range(6)]
    agent, chance = AgentProcess(settings, tmp_path), random.Random(7)
    expected = []
    for copies in range(1, PRINT_COUNT // len(jobs) + 1):
        for job in jobs:
            order(prints, settings, job.id, first=copies)
            expected.append(f"{job.id}-0123456789abcdef-{copies}")
    with killed_in_the_end(agent):
        for _ in range(KILL_COUNT):
            agent.start()
            before = len(print_server.list_printed())
            # Once it prints, it is killed at any moment: reading, drawing, sending, waiting for the answer, following.
            wait_until(
                lambda before=before: len(print_server.list_printed()) > before or not prints.list_queue(),  # type: ignore[misc]
                "it prints",
                explain=agent.read_log,
            )
            time.sleep(chance.uniform(0.0, 0.3))
            agent.kill()
        agent.start()
        wait_until(lambda: not prints.list_queue(), "all are done", explain=agent.read_log)
    assert sorted(list_printed_ids(print_server)) == sorted(expected)
    assert prints.count(0.0) == (PRINT_COUNT, PRINT_COUNT)


def test_each_sheet_comes_out_once_if_the_print_server_is_killed_while_sheets_wait(
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
    tmp_path: Path,
    client: redis.Redis,
) -> None:
    jobs = [pipeline.add_dream((30 * n, 90, 30)) for n in range(5)]
    agent = AgentProcess(print_settings, tmp_path)
    print_server.pause()
    with killed_in_the_end(agent):
        agent.start()
        for number, job in enumerate(jobs):
            order(prints, print_settings, job.id)
            if number % 2 == 0:
                print_server.stop()
                print_server.start()
        wait_until(
            lambda: all(record.state == "submitted" for record in prints.list_queue()),
            "the server has all",
            explain=agent.read_log,
        )
        client.flushall()
        print_server.stop()
        print_server.start()
        print_server.resume()
        wait_until(lambda: len(print_server.list_printed()) >= len(jobs), "all come out", explain=agent.read_log)
        wait_until(lambda: prints.is_restored() and not prints.list_queue(), "all are done", explain=agent.read_log)
    assert sorted(list_printed_ids(print_server)) == sorted(f"{job.id}-0123456789abcdef-1" for job in jobs)


def test_a_sheet_comes_out_once_at_whatever_moment_of_sending_it_the_agent_is_killed(
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
    tmp_path: Path,
) -> None:
    agents: list[AgentProcess] = []
    with KillingProxy(print_server.port, lambda: agents[-1].kill()) as proxy:
        url = print_server.url.replace(f":{print_server.port}/", f":{proxy.port}/")
        agents.append(AgentProcess(print_settings.model_copy(update={"printer": url}), tmp_path))
        agent = agents[0]
        expected = []
        with killed_in_the_end(agent):
            for number, moment in enumerate(Moment):
                proxy.plan = [moment]
                job = pipeline.add_dream((30 * number, 90, 30))
                order(prints, print_settings, job.id)
                expected.append(f"{job.id}-0123456789abcdef-1")
                agent.start()
                wait_until(lambda: agent.has_ended, moment.value, explain=agent.read_log)
            agent.start()
            wait_until(lambda: not prints.list_queue(), "all are done", explain=agent.read_log)
    assert sorted(list_printed_ids(print_server)) == sorted(expected)
