"""One supervised process of the stack: started in its own session, logged, restarted, stopped with its children."""

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

#: Seconds before the first restart of a process that ended by itself; doubled each time up to the cap.
INITIAL_RESTART_DELAY_SECONDS, MAX_RESTART_DELAY_SECONDS = 0.5, 15.0

#: A process that lived this many seconds is well again: its next pause is the first one.
RESTART_DELAY_RESET_SECONDS = 60.0


@dataclass
class SupervisedProcess:
    """A command that is meant to run as long as the stack does."""

    name: str
    command: list[str]
    environment: dict[str, str]
    #: Folder for the pid file; `<log folder>/<name>.log` takes stdout and stderr.
    run_folder: Path
    log_folder: Path
    #: Seconds from SIGTERM to SIGKILL.
    grace_seconds: float
    #: Written to the process's standard input at each start; for what must not stand in a command line.
    stdin: str = ""
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _started_at: float = field(default=0.0, init=False)
    _restart_delay: float = field(default=INITIAL_RESTART_DELAY_SECONDS, init=False)
    _restart_at: float = field(default=0.0, init=False)

    @property
    def log_path(self) -> Path:
        """Where the process's output goes."""
        return self.log_folder / f"{self.name}.log"

    def start(self) -> None:
        """Start it in a session of its own, so that a Ctrl-C in the terminal reaches only the supervisor."""
        with self.log_path.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.PIPE if self.stdin else subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self.stdin and self._child.stdin:
            self._child.stdin.write(self.stdin.encode())
            self._child.stdin.close()
        self._started_at = time.monotonic()
        note = {"pid": self._child.pid, "born": psutil.Process(self._child.pid).create_time()}
        self._pid_file.write_text(json.dumps(note), encoding="utf-8")

    def restart_if_exited(self) -> str | None:
        """Restart it where it has ended and its pause is over; return what the operator should read, if anything."""
        if self._child is None:
            if time.monotonic() >= self._restart_at:
                self.start()
            return None
        status = self._child.poll()
        if status is None:
            return None
        _signal_group(self._child.pid, signal.SIGKILL)  # whatever it left behind
        if time.monotonic() - self._started_at > RESTART_DELAY_RESET_SECONDS:
            self._restart_delay = INITIAL_RESTART_DELAY_SECONDS
        self._child, self._restart_at = None, time.monotonic() + self._restart_delay
        delay, self._restart_delay = self._restart_delay, min(self._restart_delay * 2, MAX_RESTART_DELAY_SECONDS)
        how = _describe_exit(status)
        return f"The {self.name} ended by itself ({how}) and starts again in {delay:g} s; see {self.log_path}."

    def stop(self) -> None:
        """Ask it to end, wait for its grace, then kill it and all its children."""
        if (child := self._child) is not None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(self.grace_seconds)
        self.kill()

    def kill(self) -> None:
        """End it and all its children at once. May be called while another thread is in `stop`."""
        child, self._child = self._child, None
        if child is not None:
            _signal_group(child.pid, signal.SIGKILL)
            child.wait()
        self._pid_file.unlink(missing_ok=True)

    def terminate_leftover(self) -> bool:
        """End what a stack that was itself killed left running; True where there was something."""
        try:
            note = json.loads(self._pid_file.read_text(encoding="utf-8"))
            left = psutil.Process(note["pid"])
            alive = bool(abs(left.create_time() - note["born"]) < 1)  # and not another process with a recycled number
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
            alive = False
        if alive:
            left.terminate()
            with contextlib.suppress(psutil.TimeoutExpired):
                left.wait(self.grace_seconds)
            _signal_group(left.pid, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)
        return alive

    @property
    def _pid_file(self) -> Path:
        return self.run_folder / f"{self.name}.json"


def _signal_group(leader_pid: int, signal_number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader_pid, signal_number)


def _describe_exit(exit_status: int) -> str:
    return f"signal {signal.Signals(-exit_status).name}" if exit_status < 0 else f"exit code {exit_status}"
