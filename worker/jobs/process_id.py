"""How pool processes are called, and whether one that is called so still lives."""

import os
import platform

import psutil


def name_of(pid: int) -> str:
    """Return how a process of this machine is called wherever parts are listed."""
    return f"{platform.node()}-{pid}"


def died_here(name: str) -> bool:
    """Tell whether a process of that name is known to be dead; of those of other machines nothing is known."""
    machine, _, process = name.rpartition("-")
    if name == name_of(os.getpid()):  # of a container that was started again: a process dreams one job at a time
        return True
    return machine == platform.node() and process.isdecimal() and not _works(int(process))


def _works(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
