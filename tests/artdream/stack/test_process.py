"""The logs of supervised processes are kept within bounds while the processes run."""

import sys
from pathlib import Path

import pytest

from artdream.stack import process
from artdream.stack.process import SupervisedProcess
from tests.waiting import wait_until

#: Prints a line of 100 bytes for each one that it reads from the file that it is given.
CHATTERER = """
import itertools, time
for number in itertools.count():
    print(f"{number:099d}", flush=True)
    time.sleep(0.001)
"""


def test_a_log_is_cut_while_its_process_writes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with logs that are only appended to: they grew forever."""
    monkeypatch.setattr(process, "MAX_LOG_BYTES", 10_000)
    supervised = SupervisedProcess("part", [sys.executable, "-c", CHATTERER], {}, tmp_path, tmp_path, 5)
    supervised.start()
    try:
        earlier_path = tmp_path / "part.1.log"
        wait_until(lambda: supervised.restart_if_exited() or earlier_path.exists(), "the log is cut")
        first = int(earlier_path.read_text().splitlines()[0])
        assert first == 0
        wait_until(lambda: supervised.restart_if_exited() or int(earlier_path.read_text().splitlines()[0]) > 0)
        assert b"\0" not in supervised.log_path.read_bytes()
        assert supervised.log_path.stat().st_size < 100_000
    finally:
        supervised.kill()
