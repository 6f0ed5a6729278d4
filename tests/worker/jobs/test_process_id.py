"""Process ids: a process counts as dead only if it is certain."""

import platform
import re
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.waiting import wait_until
from worker.jobs.process_id import is_dead_local_process, make_process_id


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_is_named_by_host_mark_and_pid() -> None:
    assert re.fullmatch(rf"{re.escape(platform.node())}-[0-9a-f]{{8}}-4711", make_process_id(4711))


def test_a_running_process_is_not_dead(child: subprocess.Popen[bytes]) -> None:
    assert not is_dead_local_process(make_process_id(child.pid))


def test_a_killed_process_is_dead_before_and_after_its_parent_notices(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "killed")
    assert is_dead_local_process(make_process_id(child.pid))
    child.wait()
    assert is_dead_local_process(make_process_id(child.pid))


@pytest.mark.parametrize(
    "process_id",
    ["elsewhere-{pid}", "{host}-{pid}", "{host}-00000000-{pid}", "{host}-x", "{host}-", "{pid}", "w-1"],
)
def test_of_a_process_elsewhere_nothing_is_known(process_id: str, child: subprocess.Popen[bytes]) -> None:
    """Seen failing without the mark: clones of one machine took jobs from each other's living workers."""
    child.kill()
    child.wait()
    assert not is_dead_local_process(process_id.format(host=platform.node(), pid=child.pid))
