"""The cards, where this machine has GPUs of NVIDIA's: whose each is, and how much of its memory is taken."""

import os
import shutil
import subprocess
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

#: The driver's own program: it tells of every process's share, and the worker's parent need not open the card itself.
PROGRAM = "nvidia-smi"
_QUERY = ["--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits"]

_MEBIBYTE = 1024**2


#: What CUDA asks which cards there are for a process, and by which order they are numbered.
_VISIBLE, _ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"


def pin(index: int) -> str | None:
    """Let this process see one card alone, before CUDA starts; return which, or None where there are not several.

    TensorFlow and JAX take the memory of every card they see, so the second pool process would find none. More
    processes than cards share them. index: the process's own among those of its pool.
    """
    chosen = os.environ.get(_VISIBLE)
    cards = [gpu for gpu, *_ in _asked()] if chosen is None else [one.strip() for one in chosen.split(",")]
    if len(cards) < 2:
        return None
    if chosen is None:
        os.environ[_ORDER] = "PCI_BUS_ID"  # nvidia-smi's; CUDA's own begins with the fastest
    os.environ[_VISIBLE] = cards[index % len(cards)]
    return os.environ[_VISIBLE]


class Cards(Collector):
    """Asks the driver when it is asked; tells nothing where there is none."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Tell the memory of each card in bytes."""
        memory = GaugeMetricFamily("artdream_gpu_memory_bytes", "Memory of a GPU.", labels=["gpu", "what"])
        for gpu, used, total in _asked():
            memory.add_metric([gpu, "used"], float(used) * _MEBIBYTE)
            memory.add_metric([gpu, "total"], float(total) * _MEBIBYTE)
        yield memory


def _asked() -> list[list[str]]:
    program = shutil.which(PROGRAM)
    if program is None:
        return []
    try:
        told = subprocess.run([program, *_QUERY], capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):  # no driver, or one that hangs
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in told.stdout.splitlines()]
    return [row for row in rows if len(row) == 3 and all(cell.isdecimal() for cell in row)]
