"""The cards, where this machine has GPUs of NVIDIA's: whose each is, and how much of its memory is taken."""

import os
import shutil
import subprocess
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

#: The driver's own program: it tells of every process's share, and the worker's parent need not open the card itself.
NVIDIA_SMI = "nvidia-smi"
_QUERY_ARGUMENTS = ["--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits"]

_BYTES_PER_MEBIBYTE = 1024**2


#: What CUDA asks which cards there are for a process, and by which order they are numbered.
_VISIBLE_DEVICES_VARIABLE, _DEVICE_ORDER_VARIABLE = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"


def pin_gpu(process_index: int) -> str | None:
    """Let this process see one card alone, before CUDA starts; return which, or None where there are not several.

    TensorFlow and JAX take the memory of every card they see, so the second pool process would find none. More
    processes than cards share them. index: the process's own among those of its pool.
    """
    chosen = os.environ.get(_VISIBLE_DEVICES_VARIABLE)
    cards = [gpu for gpu, *_ in _query_gpus()] if chosen is None else [one.strip() for one in chosen.split(",")]
    if len(cards) < 2:
        return None
    if chosen is None:
        os.environ[_DEVICE_ORDER_VARIABLE] = "PCI_BUS_ID"  # nvidia-smi's; CUDA's own begins with the fastest
    os.environ[_VISIBLE_DEVICES_VARIABLE] = cards[process_index % len(cards)]
    return os.environ[_VISIBLE_DEVICES_VARIABLE]


class GpuMemoryCollector(Collector):
    """Asks the driver when it is asked; tells nothing where there is none."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Tell the memory of each card in bytes."""
        memory = GaugeMetricFamily("artdream_gpu_memory_bytes", "Memory of a GPU.", labels=["gpu", "what"])
        for gpu, used, total in _query_gpus():
            memory.add_metric([gpu, "used"], float(used) * _BYTES_PER_MEBIBYTE)
            memory.add_metric([gpu, "total"], float(total) * _BYTES_PER_MEBIBYTE)
        yield memory


def _query_gpus() -> list[list[str]]:
    program = shutil.which(NVIDIA_SMI)
    if program is None:
        return []
    try:
        told = subprocess.run([program, *_QUERY_ARGUMENTS], capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):  # no driver, or one that hangs
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in told.stdout.splitlines()]
    return [row for row in rows if len(row) == 3 and all(cell.isdecimal() for cell in row)]
