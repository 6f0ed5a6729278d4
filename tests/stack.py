"""A real `artdream up` in a separate process, as an operator runs it."""

import io
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from artdream.cli.main import main
from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.jobs.events import STREAM_START_ID, Completed, Event, EventReader
from shared.settings import BROKER_FILE
from tests.waiting import wait_until

#: Below those that systems hand out by themselves: none is taken by a client while its server is being restarted.
SERVER_PORTS = range(10_000, 32_768)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which no server listens, drawn at random."""
    while True:
        port = secrets.choice(SERVER_PORTS)  # each process draws others, whatever the seed of the tests
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


#: Seconds for any one step on two slow cores beside other tests.
STACK_TIMEOUT_SECONDS = 480


def start_artdream(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """Start an `artdream` command in a process of its own, as in an operator's terminal: SIGINT interrupts it.

    environment: additional variables. options: of `subprocess.Popen`.
    """
    # A shell ignores SIGINT in what it starts in the background, as pytest perhaps, and each process hands that on. It
    # does not hand on a handler.
    previous_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "artdream", *arguments],
            cwd=folder,
            env=operator_environment() | dict(environment or {}),
            **options,
        )
    finally:
        signal.signal(signal.SIGINT, previous_handler)


def run_artdream(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run an `artdream` command to its end, in a process of its own. environment: additional variables."""
    return subprocess.run(
        [sys.executable, "-m", "artdream", *arguments],
        cwd=folder,
        env=operator_environment() | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=STACK_TIMEOUT_SECONDS,
        check=False,
    )


def run_in_process(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run an `artdream` command to its end in this process, which saves its imports; else as `run_artdream`."""
    stdout, stderr = io.StringIO(), io.StringIO()
    argv = ["artdream", *arguments]
    with chdir(folder), redirect_stdout(stdout), redirect_stderr(stderr), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", argv)
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as exit_info:
            main()
    return subprocess.CompletedProcess(argv, int(exit_info.value.code or 0), stdout.getvalue(), stderr.getvalue())


def operator_environment() -> dict[str, str]:
    """Return an operator's environment: without TensorFlow's log level, which JAX sets once a test has imported it."""
    return {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}


def drop_file(inbox: Path, name: str, data: bytes) -> float:
    """Rename a complete file into the inbox, as AirDrop does; return the time of the rename in epoch seconds."""
    hidden = inbox / f".{name}"
    hidden.write_bytes(data)
    renamed_at = time.time()
    hidden.rename(inbox / name)
    return renamed_at


def write_slowly(path: Path, data: bytes, *, pause_seconds: float) -> None:
    """Write a file in three pieces with a pause after each, as a slow copy does."""
    with path.open("wb", buffering=0) as file:
        for third in range(3):
            file.write(data[third * len(data) // 3 : (third + 1) * len(data) // 3])
            time.sleep(pause_seconds)


class RunningStack:
    """One `artdream up` on a folder: can be restarted, and is stopped when its context ends."""

    def __init__(self, folder: Path, *arguments: str, clips: bool = False) -> None:
        """Prepare a stack in `folder`. clips: render clips, which keeps a core busy long after the dreams."""
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
        """The URL of the wall."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, until_warm: bool = True) -> None:
        """Start the stack; with `until_warm`, return once the worker is warm."""
        self.inbox.mkdir(exist_ok=True)
        self.stdout_path.write_text("")
        with self.stdout_path.open("ab") as out, self.stderr_path.open("ab") as err:
            self._process = start_artdream(
                *("up", "--port", str(self.port), *self._arguments),
                folder=self.folder,
                environment={"COLUMNS": "200"} | self._clips_environment,
                stdout=out,
                stderr=err,
            )
        self._reader: EventReader | None = None
        self.events: list[Event] = []
        if until_warm:
            self.wait_until(lambda: "worker is warm" in self.read_output())

    def drop_file(self, name: str, data: bytes) -> None:
        """Put a complete file into the inbox, as a guest's phone does."""
        drop_file(self.inbox, name, data)

    @property
    def running(self) -> bool:
        """Whether the stack has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def read_output(self) -> str:
        """Return what the stack has printed since its last start."""
        return self.stdout_path.read_text()

    def list_completed(self) -> list[Completed]:
        """Return the completed dreams since the first start on this folder."""
        self._read_events()
        return [event for event in self.events if isinstance(event, Completed)]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, reading events meanwhile; fail with output and logs if it does not."""

        def is_met() -> bool:
            if condition():
                return True
            assert self.running, f"up ended:\n{self._describe()}"
            self._read_events()
            return False

        wait_until(is_met, "the condition holds", STACK_TIMEOUT_SECONDS, explain=self._describe)

    def interrupt(self) -> int:
        """Send SIGINT, as Ctrl-C does, wait for the end and return the exit code."""
        assert self._process is not None
        self._child_processes = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(STACK_TIMEOUT_SECONDS)

    def kill_all(self) -> None:
        """Kill the stack and all its child processes at once."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True)
        for process in (self._process, *children):
            process.kill()
        self._process.wait()
        psutil.wait_procs(children, timeout=10)

    def kill_component(self, name: str) -> None:
        """Kill one component with SIGKILL, but none of its children."""
        self._find_component(name).kill()

    @contextmanager
    def suspend_component(self, name: str) -> Iterator[None]:
        """Suspend one component and its children, and resume them afterwards."""
        parent = self._find_component(name)
        processes = [parent, *parent.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def is_answering(self) -> bool:
        """Return whether the wall answers with status 200."""
        try:
            with urllib.request.urlopen(self.url, timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def list_leftover_processes(self) -> list[str]:
        """Return the command lines of child processes that outlived `interrupt`."""
        _, alive = psutil.wait_procs(self._child_processes, timeout=STACK_TIMEOUT_SECONDS)
        return [" ".join(process.cmdline()) for process in alive]

    def kill(self) -> None:
        """Kill the `artdream up` process only, not its children."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _find_component(self, name: str) -> psutil.Process:
        return psutil.Process(json.loads((self.data / "run" / f"{name}.json").read_text())["pid"])

    def _read_events(self) -> None:
        try:
            if self._reader is None:
                url = (self.data / BROKER_FILE).read_text()
                self._reader = EventReader(connect(url), STREAM_START_ID)
            self.events += [recorded.event for recorded in self._reader.read()]
        except (OSError, *BROKER_UNAVAILABLE):
            self._reader = None
            self.events = []

    def _describe(self) -> str:
        """Return what the stack printed, and the ends of its logs."""
        logs = (f"{log}:\n{log.read_text()[-1500:]}" for log in (self.data / "logs").glob("*.log"))
        return "\n".join([self.read_output(), self.stderr_path.read_text(), *logs])
