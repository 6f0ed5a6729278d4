"""Each pool process has its own GPU; the memory of each is reported, and nothing is reported without a GPU."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from worker.consumer.gpus import NVIDIA_SMI, GpuMemoryCollector, pin_gpu

ROOT = Path(__file__).parents[3]


def collect_memory() -> dict[tuple[str, str], float]:
    return {
        (sample.labels["gpu"], sample.labels["what"]): sample.value
        for family in GpuMemoryCollector().collect()
        for sample in family.samples
    }


def test_without_a_gpu_no_metric_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert collect_memory() == {}


@pytest.mark.skipif(shutil.which(NVIDIA_SMI) is None, reason="needs a GPU of NVIDIA's and its driver")
def test_the_memory_of_each_gpu_is_reported_in_bytes() -> None:
    memory = collect_memory()
    assert {what for _, what in memory} == {"used", "total"}
    for gpu, _ in memory:
        assert 0 <= memory[gpu, "used"] <= memory[gpu, "total"]
        assert memory[gpu, "total"] > 2**30


def pin_and_read(index: int, monkeypatch: pytest.MonkeyPatch, visible: str | None) -> tuple[str | None, str | None]:
    with monkeypatch.context() as patch:
        for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
            patch.setenv(name, "")  # registers the variable, so that monkeypatch undoes what `pin_gpu` sets
            patch.delenv(name)
        if visible is not None:
            patch.setenv("CUDA_VISIBLE_DEVICES", visible)
        pin_gpu(index)
        return os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER")


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / NVIDIA_SMI
    program.write_text("#!/bin/sh\necho '0, 10, 80000'\necho '1, 20, 80000'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_each_pool_process_sees_a_gpu_of_its_own(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pin_and_read(0, monkeypatch, None) == ("0", "PCI_BUS_ID")
    assert pin_and_read(1, monkeypatch, None) == ("1", "PCI_BUS_ID")
    assert pin_and_read(2, monkeypatch, None) == ("0", "PCI_BUS_ID")


def test_a_machine_with_one_gpu_or_none_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pin_and_read(0, monkeypatch, None) == (None, None)
    (tmp_path / NVIDIA_SMI).write_text("#!/bin/sh\necho '0, 10, 80000'\n")
    (tmp_path / NVIDIA_SMI).chmod(0o755)
    assert pin_and_read(0, monkeypatch, None) == (None, None)


def test_only_the_chosen_gpus_are_assigned(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [pin_and_read(index, monkeypatch, "GPU-aa, GPU-bb")[0] for index in (0, 1)] == ["GPU-aa", "GPU-bb"]
    for visible in ("1", "", "-1"):
        assert pin_and_read(0, monkeypatch, visible) == (visible, None)


def test_a_pool_process_has_its_gpu_before_it_imports_keras(two_gpus: None) -> None:
    """Fails if `PoolProcess.start` imports the job processor first: CUDA reads the variable once."""
    program = """
import os, signal, sys
from billiard.pool import Pool
from shared.jobs.job import Lane
from shared.settings import Settings
from shared.timing import DEFAULT_TIMING
from worker.app import PoolProcess, make_engine
from worker.consumer.flow_control import FlowControl

class Finder:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("keras", "tensorflow", "jax"):
            os.write(1, os.environ.get("CUDA_VISIBLE_DEVICES", "none").encode() + b"\\n")  # whole, beside the other's
            signal.pause()

sys.meta_path.insert(0, Finder())
settings = Settings(broker_url="redis://127.0.0.1:1/0", _env_file=None)
pool = Pool(2, PoolProcess(settings, FlowControl(2), list(Lane), make_engine, DEFAULT_TIMING).start)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        try:
            assert {parent.stdout.readline(), parent.stdout.readline()} == {"0\n", "1\n"}
        finally:
            for process in [*psutil.Process(parent.pid).children(recursive=True), parent]:
                process.kill()
