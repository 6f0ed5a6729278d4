"""The cards: how much of their memory is taken, where this machine has GPUs of NVIDIA's."""

import shutil
import subprocess
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

#: The driver's own program: it tells of every process's share, and the worker's parent need not open the card itself.
PROGRAM = "nvidia-smi"
_QUERY = ["--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits"]

_MEBIBYTE = 1024**2


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
