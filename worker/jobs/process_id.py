"""How pool processes are called, and whether one that is called so still lives."""

import os
import platform

import psutil


def make_process_id(pid: int) -> str:
    """Return how a process of this machine is called wherever parts are listed."""
    return f"{platform.node()}-{pid}"


def is_dead_local_process(process_id: str) -> bool:
    """Tell whether a process of that name is known to be dead; of those of other machines nothing is known."""
    machine, _, process = process_id.rpartition("-")
    if process_id == make_process_id(
        os.getpid()
    ):  # of a container that was started again: a process dreams one job at a time
        return True
    return machine == platform.node() and process.isdecimal() and not _is_running(int(process))


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
