"""A short soak with the dreamer of the tests; `make soak` runs half an hour with real dreams."""

from pathlib import Path

import pytest

from tests.fault.soak import SoakRun
from tests.worker_process import worker_command

pytestmark = pytest.mark.slow

SECONDS = 30


def test_every_photo_of_a_steady_stream_ends_once_and_all_components_are_watched(tmp_path: Path) -> None:
    soak = SoakRun(tmp_path, worker_command=worker_command(), sample_interval_seconds=SECONDS / 40)
    try:
        soak.run(SECONDS, photos_per_minute=60)
    finally:
        soak.close()
    assert soak.outcomes.are_clean, soak.outcomes
    slopes = soak.monitor.compute_slopes(0)
    assert {"producer", "display", "broker", "worker 1", "worker 2"} <= {slope.name for slope in slopes}
    assert all(slope.is_constant for slope in slopes if slope.quantity == "files")
