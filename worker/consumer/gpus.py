"""NVIDIA GPUs of this machine: pin one to each pool process, and export their memory as a metric."""

import os
import shutil
import subprocess
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

#: The driver's own program: it reports the memory of all processes, and the worker's parent need not open the GPU.
NVIDIA_SMI = "nvidia-smi"
_QUERY_ARGUMENTS = ["--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits"]

_BYTES_PER_MEBIBYTE = 1024**2

#: Environment variables by which CUDA selects the devices of a process, and the order that numbers them.
_VISIBLE_DEVICES_VARIABLE, _DEVICE_ORDER_VARIABLE = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"


def pin_gpu(process_index: int) -> str | None:
    """Restrict this process to one GPU, and return its entry in CUDA_VISIBLE_DEVICES. Call before CUDA starts.

    process_index: index of the process in its pool, from 0; more processes than GPUs share them. Returns None, and
    restricts nothing, if there are fewer than two GPUs. TensorFlow and JAX take the memory of every GPU they see, so
    without this a second pool process would find none.
    """
    visible_devices = os.environ.get(_VISIBLE_DEVICES_VARIABLE)
    gpus = (
        [gpu for gpu, *_ in _query_gpus()]
        if visible_devices is None
        else [device.strip() for device in visible_devices.split(",")]
    )
    if len(gpus) < 2:
        return None
    if visible_devices is None:
        os.environ[_DEVICE_ORDER_VARIABLE] = "PCI_BUS_ID"  # nvidia-smi's; CUDA's own begins with the fastest
    os.environ[_VISIBLE_DEVICES_VARIABLE] = gpus[process_index % len(gpus)]
    return os.environ[_VISIBLE_DEVICES_VARIABLE]


class GpuMemoryCollector(Collector):
    """Queries the driver at every scrape; reports no samples without a driver."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the used and the total memory of each GPU in bytes."""
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
        result = subprocess.run([program, *_QUERY_ARGUMENTS], capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):  # no driver, or one that hangs
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in result.stdout.splitlines()]
    return [row for row in rows if len(row) == 3 and all(cell.isdecimal() for cell in row)]
