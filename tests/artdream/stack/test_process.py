"""Supervised processes: their logs stay within bounds while they run, and one gives way to the others."""

import json
import sys
from pathlib import Path

import psutil
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


def test_a_process_and_its_children_give_way_to_the_others(tmp_path: Path) -> None:
    """Seen failing without its group: each session of Linux is one, and within it niceness compares nothing."""
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import signal; signal.pause()'])"
    supervised = SupervisedProcess("part", [sys.executable, "-c", program], {}, tmp_path, tmp_path, 5, niceness=10)
    supervised.start()
    try:
        parent = psutil.Process(json.loads((tmp_path / "part.json").read_text())["pid"])
        wait_until(parent.children, "it has a child")
        assert [process.nice() for process in (parent, *parent.children())] == [10, 10]
        groups = [Path(f"/proc/{process.pid}/autogroup") for process in (parent, *parent.children())]
        for group in filter(Path.exists, groups):
            assert group.read_text().endswith(" nice 10\n")
    finally:
        supervised.kill()
