"""The supervisor outlives a broker that cannot answer for a moment."""

import io
import threading

import pytest
import redis
from rich.console import Console

from artdream.stack.process import SupervisedProcess
from artdream.stack.report import ConsoleReport
from artdream.stack.supervisor import Supervisor
from shared.jobs.events import EventLog
from shared.settings import Settings
from tests.waiting import wait_until


def test_a_broker_that_is_away_just_when_everything_has_started_ends_nothing(
    settings: Settings, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with a first query that nobody guarded: `artdream up` stopped everything."""
    failures, last_id = iter([redis.ConnectionError("gone")]), EventLog.last_id

    def fail_once(self: EventLog) -> str:
        for failure in failures:
            raise failure
        return last_id(self)

    monkeypatch.setattr(EventLog, "last_id", fail_once)
    monkeypatch.setattr(SupervisedProcess, "restart_if_exited", lambda _: None)
    output = io.StringIO()
    supervisor = Supervisor(settings, workers=0, demo=False, report=ConsoleReport(Console(file=output)))
    supervisor._broker_url = broker_url
    thread = threading.Thread(target=supervisor._supervise)
    thread.start()
    wait_until(lambda: "warm" in output.getvalue() or not thread.is_alive())
    assert thread.is_alive()
    supervisor._stopping.set()
    thread.join()
