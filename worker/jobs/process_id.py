"""Process ids: name a pool process by host and pid, and check whether the process with an id is dead."""

import functools
import hashlib
import platform
import uuid
from pathlib import Path

import psutil


def make_process_id(pid: int) -> str:
    """Return the id of a process of this machine, `host-mark-pid`, for claims, heartbeats and logs.

    The mark, 8 hex digits, tells machines of one name apart, and containers, which have pids of their own.
    """
    return f"{platform.node()}-{_make_mark()}-{pid}"


def is_dead_local_process(process_id: str) -> bool:
    """Return whether the process with this id is known to be dead.

    False for processes of other machines and containers, whose state is unknown.
    """
    _, _, pid = process_id.rpartition("-")
    return pid.isdecimal() and process_id == make_process_id(int(pid)) and not _is_running(int(pid))


@functools.cache
def _make_mark() -> str:
    """Return a mark of the pids' name space: of this boot and this container, or of this machine outside Linux."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        identity = f"{boot_id} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        identity = str(uuid.getnode())
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
