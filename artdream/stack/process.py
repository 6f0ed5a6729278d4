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
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0

#: A process that lived this many seconds is well again: its next pause is the first one.
WELL_AFTER = 60.0


@dataclass
class Process:
    """A command that is meant to run as long as the stack does."""

    name: str
    command: list[str]
    environment: dict[str, str]
    #: Folder for the pid file; `<log folder>/<name>.log` takes stdout and stderr.
    run_folder: Path
    log_folder: Path
    #: Seconds from SIGTERM to SIGKILL.
    grace: float
    #: Written to the process's standard input at each start; for what must not stand in a command line.
    stdin: str = ""
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _started: float = field(default=0.0, init=False)
    _pause: float = field(default=FIRST_PAUSE, init=False)
    _due: float = field(default=0.0, init=False)

    @property
    def log(self) -> Path:
        """Where the process's output goes."""
        return self.log_folder / f"{self.name}.log"

    def start(self) -> None:
        """Start it in a session of its own, so that a Ctrl-C in the terminal reaches only the supervisor."""
        with self.log.open("ab") as log:
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
        self._started = time.monotonic()
        note = {"pid": self._child.pid, "born": psutil.Process(self._child.pid).create_time()}
        self._note.write_text(json.dumps(note), encoding="utf-8")

    def tend(self) -> str | None:
        """Restart it where it has ended and its pause is over; return what the operator should read, if anything."""
        if self._child is None:
            if time.monotonic() >= self._due:
                self.start()
            return None
        status = self._child.poll()
        if status is None:
            return None
        _end_group(self._child.pid, signal.SIGKILL)  # whatever it left behind
        if time.monotonic() - self._started > WELL_AFTER:
            self._pause = FIRST_PAUSE
        self._child, self._due = None, time.monotonic() + self._pause
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return f"The {self.name} ended by itself ({_told(status)}) and starts again in {pause:g} s; see {self.log}."

    def stop(self) -> None:
        """Ask it to end, wait for its grace, then kill it and all its children."""
        if (child := self._child) is not None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(self.grace)
        self.kill()

    def kill(self) -> None:
        """End it and all its children at once. May be called while another thread is in `stop`."""
        child, self._child = self._child, None
        if child is not None:
            _end_group(child.pid, signal.SIGKILL)
            child.wait()
        self._note.unlink(missing_ok=True)

    def sweep(self) -> bool:
        """End what a stack that was itself killed left running; True where there was something."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            left = psutil.Process(note["pid"])
            alive = bool(abs(left.create_time() - note["born"]) < 1)  # and not another process with a recycled number
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
            alive = False
        if alive:
            left.terminate()
            with contextlib.suppress(psutil.TimeoutExpired):
                left.wait(self.grace)
            _end_group(left.pid, signal.SIGKILL)
        self._note.unlink(missing_ok=True)
        return alive

    @property
    def _note(self) -> Path:
        return self.run_folder / f"{self.name}.json"


def _end_group(leader: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, how)


def _told(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
