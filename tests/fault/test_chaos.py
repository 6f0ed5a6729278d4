"""A short chaos run with random faults and short times; `make chaos` runs a long one with real dreams and times."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.chaos import ChaosRun
from tests.worker_process import SHORT_TIMING, worker_command

pytestmark = pytest.mark.slow


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[ChaosRun]:
    chaos = ChaosRun(tmp_path, seed=7, worker_command=worker_command(), timing=SHORT_TIMING)
    yield chaos
    chaos.close()


@pytest.mark.timeout(900)
def test_every_photo_ends_once_and_leaves_nothing_half_whatever_breaks(chaos: ChaosRun) -> None:
    outcomes = chaos.run(jobs=30, faults=10, minutes=0)
    assert outcomes.are_clean, outcomes
    assert outcomes.ends.total() == outcomes.jobs >= 30
