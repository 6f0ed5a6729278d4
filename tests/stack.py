"""A real `artdream up` in a process of its own, as an operator runs it."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Self

import psutil
import pytest

from artdream.cli.main import main
from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.jobs.events import STREAM_START_ID, Completed, Event, EventReader
from shared.settings import BROKER_FILE


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


#: Seconds for whatever takes some on two slow cores beside other tests.
STACK_TIMEOUT_SECONDS = 600


def run_artdream(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "artdream", *arguments]
    told = operator_environment() | dict(environment or {})
    return subprocess.run(
        command, cwd=folder, env=told, capture_output=True, text=True, timeout=STACK_TIMEOUT_SECONDS, check=False
    )


def run_in_process(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in this process: to import TensorFlow anew takes longer than most of them."""
    out, err = io.StringIO(), io.StringIO()
    line = ["artdream", *arguments]
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as ended:
            main()
    return subprocess.CompletedProcess(line, int(ended.value.code or 0), out.getvalue(), err.getvalue())


def operator_environment() -> dict[str, str]:
    """Return an operator's environment: JAX, where a test has imported it, has set TensorFlow's log level."""
    return {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}


def drop_file(inbox: Path, name: str, data: bytes) -> float:
    """AirDrop: a file appears whole, under its name. Returns when, in epoch seconds."""
    hidden = inbox / f".{name}"
    hidden.write_bytes(data)
    at = time.time()
    hidden.rename(inbox / name)
    return at


class RunningStack:
    """One `artdream up` on a folder; may be started again, and has ended when its context has."""

    def __init__(self, folder: Path, *arguments: str, clips: bool = False) -> None:
        """clips: whether its worker makes them, which keeps a processor busy for long after the dreams."""
        self.folder = folder
        self.inbox = folder / "inbox"
        self.data = folder / "artdream-data"
        self.port = free_port()
        self._arguments = arguments
        self._clips_environment = {} if clips else {"ARTDREAM_CLIPS": "false"}
        self._process: subprocess.Popen[bytes] | None = None
        self.stdout_path, self.stderr_path = folder / "up.out", folder / "up.err"
        self._child_processes: list[psutil.Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.interrupt()

    @property
    def url(self) -> str:
        """Where the wall is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, until_warm: bool = True) -> None:
        """Start it; with `warm`, return when the worker is."""
        self.inbox.mkdir(exist_ok=True)
        self.stdout_path.write_text("")
        with self.stdout_path.open("ab") as out, self.stderr_path.open("ab") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "artdream", "up", "--port", str(self.port), *self._arguments],
                cwd=self.folder,
                stdout=out,
                stderr=err,
                env=operator_environment() | {"COLUMNS": "200"} | self._clips_environment,
            )
        self._reader: EventReader | None = None
        self.events: list[Event] = []
        if until_warm:
            self.wait_until(lambda: "worker is warm" in self.read_output())

    def drop_file(self, name: str, data: bytes) -> None:
        """Let a guest's file arrive in the inbox."""
        drop_file(self.inbox, name, data)

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def read_output(self) -> str:
        """Return what it has printed since it was started."""
        return self.stdout_path.read_text()

    def list_completed(self) -> list[Completed]:
        """Return the dreams since the first start on this folder."""
        self._read_events()
        return [event for event in self.events if isinstance(event, Completed)]

    def wait_until(self, condition: Callable[[], bool], timeout: float = STACK_TIMEOUT_SECONDS) -> None:
        """Wait for a condition, following the events."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, (
                f"{self.read_output()}\n{self.stderr_path.read_text()}\n{self._read_logs()}"
            )
            assert self.running, f"up ended:\n{self.read_output()}\n{self.stderr_path.read_text()}"
            self._read_events()
            time.sleep(0.1)

    def interrupt(self) -> int:
        """Press Ctrl-C and wait for the end; return the exit code."""
        assert self._process is not None
        self._child_processes = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(90)

    def kill_all(self) -> None:
        """Kill it with everything it started, at once."""
        assert self._process is not None
        family = psutil.Process(self._process.pid).children(recursive=True)
        for process in (self._process, *family):
            process.kill()
        self._process.wait()
        psutil.wait_procs(family, timeout=10)

    def kill_component(self, name: str) -> None:
        """Kill one part with SIGKILL, but none of its children."""
        note = json.loads((self.data / "run" / f"{name}.json").read_text())
        os.kill(note["pid"], signal.SIGKILL)

    @contextmanager
    def suspend_component(self, name: str) -> Iterator[None]:
        """Stop one part and its children where they are, and let them go on afterwards."""
        note = json.loads((self.data / "run" / f"{name}.json").read_text())
        parent = psutil.Process(note["pid"])
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            process.suspend()
        try:
            yield
        finally:
            for process in family:
                process.resume()

    def is_answering(self) -> bool:
        """Tell whether the wall answers."""
        try:
            with urllib.request.urlopen(self.url, timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def list_leftover_processes(self) -> list[str]:
        """Name the processes that outlived it."""
        _, alive = psutil.wait_procs(self._child_processes, timeout=1)
        return [" ".join(process.cmdline()) for process in alive]

    def kill(self) -> None:
        """Kill it as a power switch would, but only itself."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _read_events(self) -> None:
        try:
            if self._reader is None:
                url = (self.data / BROKER_FILE).read_text()
                self._reader = EventReader(connect(url), STREAM_START_ID)
            self.events += [recorded.event for recorded in self._reader.read()]
        except (OSError, *BROKER_UNAVAILABLE):
            self._reader = None
            self.events = []

    def _read_logs(self) -> str:
        return "\n".join(f"{log}:\n{log.read_text()[-1500:]}" for log in (self.data / "logs").glob("*.log"))
