"""Supervised processes: started in their own session, logged, restarted, and stopped with their children."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

#: Seconds before the first restart of a process that exited by itself, doubled each time up to the second value.
INITIAL_RESTART_DELAY_SECONDS, MAX_RESTART_DELAY_SECONDS = 0.5, 15.0

#: Seconds of running after which a process counts as recovered, and its restart delay is reset.
RESTART_DELAY_RESET_SECONDS = 60.0

#: Bytes of a log beyond which its content is moved to `<name>.1.log`, which replaces the one before.
MAX_LOG_BYTES = 10_000_000


@dataclass
class SupervisedProcess:
    """A command that runs as long as the stack."""

    name: str
    command: list[str]
    environment: dict[str, str]
    #: Folder of the pid file.
    run_folder: Path
    #: Folder of `<name>.log`, with stdout and stderr, and `<name>.1.log`, with what was there before.
    log_folder: Path
    #: Time from SIGTERM to SIGKILL.
    grace_seconds: float
    #: Text for the process's standard input at each start, such as secrets that must not appear in a command line.
    stdin: str = ""
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _started_at: float = field(default=0.0, init=False)
    _restart_delay: float = field(default=INITIAL_RESTART_DELAY_SECONDS, init=False)
    _restart_at: float = field(default=0.0, init=False)

    @property
    def log_path(self) -> Path:
        """The file with the process's stdout and stderr."""
        return self.log_folder / f"{self.name}.log"

    def start(self) -> None:
        """Start the process in a new session, so that a Ctrl-C in the terminal reaches only the supervisor."""
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
        identity = {"pid": self._child.pid, "born": psutil.Process(self._child.pid).create_time()}
        self._pid_file.write_text(json.dumps(identity), encoding="utf-8")

    def restart_if_exited(self) -> str | None:
        """Restart the process if it has exited and its restart delay is over, and bound its log; call it repeatedly.

        Returns a message for the operator when the process has exited, else None.
        """
        self._rotate_log()
        if self._child is None:
            if time.monotonic() >= self._restart_at:
                self.start()
            return None
        status = self._child.poll()
        if status is None:
            return None
        _signal_group(self._child.pid, signal.SIGKILL)  # Its children may still run.
        if time.monotonic() - self._started_at > RESTART_DELAY_RESET_SECONDS:
            self._restart_delay = INITIAL_RESTART_DELAY_SECONDS
        self._child, self._restart_at = None, time.monotonic() + self._restart_delay
        delay, self._restart_delay = self._restart_delay, min(self._restart_delay * 2, MAX_RESTART_DELAY_SECONDS)
        exit_reason = _describe_exit(status)
        return f"The {self.name} exited unexpectedly ({exit_reason}) and restarts in {delay:g} s; see {self.log_path}."

    def _rotate_log(self) -> None:
        with contextlib.suppress(OSError):  # The next call tries again.
            if self.log_path.stat().st_size > MAX_LOG_BYTES:
                # The process keeps the file open, so that it cannot be renamed; it appends, also after the cut.
                shutil.copyfile(self.log_path, self.log_path.with_name(f"{self.name}.1.log"))
                os.truncate(self.log_path, 0)

    def stop(self) -> None:
        """Terminate the process, wait up to `grace_seconds`, then kill it and all its children."""
        if (child := self._child) is not None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(self.grace_seconds)
        self.kill()

    def kill(self) -> None:
        """Kill the process and all its children at once. May be called while another thread is in `stop`."""
        child, self._child = self._child, None
        if child is not None:
            _signal_group(child.pid, signal.SIGKILL)
            child.wait()
        self._pid_file.unlink(missing_ok=True)

    def terminate_leftover(self) -> bool:
        """Stop a process that a killed stack left running. Returns whether there was one."""
        try:
            identity = json.loads(self._pid_file.read_text(encoding="utf-8"))
            leftover = psutil.Process(identity["pid"])
            # The start time excludes another process that has the same, recycled pid.
            is_running = bool(abs(leftover.create_time() - identity["born"]) < 1)
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
            is_running = False
        if is_running:
            leftover.terminate()
            with contextlib.suppress(psutil.TimeoutExpired):
                leftover.wait(self.grace_seconds)
            _signal_group(leftover.pid, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)
        return is_running

    @property
    def _pid_file(self) -> Path:
        return self.run_folder / f"{self.name}.json"


def _signal_group(leader_pid: int, signal_number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader_pid, signal_number)


def _describe_exit(exit_status: int) -> str:
    return f"signal {signal.Signals(-exit_status).name}" if exit_status < 0 else f"exit code {exit_status}"
