"""Process ids: name a pool process by host and pid, and check whether the process with an id is dead."""

import os
import platform

import psutil


def make_process_id(pid: int) -> str:
    """Return the id of a process of this machine, `host-pid`, for claims, heartbeats and logs."""
    return f"{platform.node()}-{pid}"


def is_dead_local_process(process_id: str) -> bool:
    """Return whether the process with this id is known to be dead.

    False for processes of other machines, whose state is unknown.
    """
    host, _, pid = process_id.rpartition("-")
    # A claim under this process's own id is from before a restart of its container: a process runs one job at a time.
    if process_id == make_process_id(os.getpid()):
        return True
    return host == platform.node() and pid.isdecimal() and not _is_running(int(pid))


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
