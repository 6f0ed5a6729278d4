"""The supervisor outlives a broker that cannot answer for a moment."""

import io
import threading
from pathlib import Path

import pytest
import redis
from rich.console import Console

from artdream.stack.process import SupervisedProcess
from artdream.stack.report import ConsoleReport
from artdream.stack.supervisor import Supervisor
from shared.errors import ArtDreamError
from shared.jobs.events import EventLog
from shared.settings import Settings
from tests.stack import run_in_process
from tests.waiting import wait_until


def test_a_data_folder_that_cannot_be_used_is_reported_in_a_sentence(settings: Settings, tmp_path: Path) -> None:
    """Seen failing with a traceback: for a lock that could not be opened, and an inbox that could not be created."""
    (settings.data / "stack.lock").mkdir(parents=True)
    supervisor = Supervisor(settings, workers=0, demo=False, report=ConsoleReport(Console(file=io.StringIO())))
    with pytest.raises(ArtDreamError, match=f"The data folder {settings.data} cannot be used: Is a directory"):
        supervisor.run()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which not even root can create another")
def test_an_inbox_that_cannot_be_created_is_reported_in_a_sentence(tmp_path: Path) -> None:
    completed = run_in_process("up", "--data", str(tmp_path / "data"), folder=Path("/proc"))
    assert completed.returncode == 1
    assert completed.stderr == "artdream: The inbox inbox cannot be created: No such file or directory.\n"


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
