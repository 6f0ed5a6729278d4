"""A task that is interrupted ends as interrupted, whatever code the interruption hits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded

from shared.jobs.job import State
from shared.storage.store import Store
from tests.worker.jobs.processor_harness import ProcessorHarness
from worker.jobs.lease import Released
from worker.jobs.processor import JobProcessor
from worker.networks.loaders import packaged_layers, torch_file


def interrupt(*_: object, **__: object) -> None:
    raise SoftTimeLimitExceeded


def read_torch_file(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setattr(torch_file, "_check_pickles", interrupt)
    torch_file.parse_tensors(b"", source="x")


def read_packaged_layers(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(np, "load", interrupt)
    (folder / "weights").touch()
    packaged_layers.read_arrays(folder / "weights")


def log_in(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setattr("socket.create_connection", interrupt)
    Store("ssh+sftp://user@127.0.0.1/folder").get("references/x.jpg")


@pytest.mark.parametrize("read", [read_torch_file, read_packaged_layers, log_in])
def test_a_worker_that_has_to_stop_while_a_file_is_read_hands_the_job_back(
    harness: ProcessorHarness,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    read: Callable[[pytest.MonkeyPatch, Path], None],
) -> None:
    """Seen failing: the job failed, because its network "was refused", or was released as without a store."""
    harness.processor = JobProcessor(harness.settings, "w-1", harness.dreamer, is_stopping=lambda: True)
    harness.dreamer.during_first_ascent = lambda: read(monkeypatch, tmp_path)
    job = harness.submit(1)
    with pytest.raises(Released):
        harness.processor.process(job.id)
    assert harness.read_states([job]) == [State.QUEUED]
    assert harness.table.count_attempts([job.id]) == [0]
