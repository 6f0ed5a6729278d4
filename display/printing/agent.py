"""The print agent: accepts automatic prints, sends every requested sheet to the printer, and follows it to its end.

Each sheet is printed exactly once. A print's id follows from what it is of, who asked for it, and the number of the
copy; the print server's job carries that id in its name. Before a sheet is sent, the server is asked for that name;
after a crash, a restart or an answer that never came, it gets time to finish what it may have received. A record in the
store, beside the dream, outlives the broker. A sheet is known as long as store, broker or print server knows it.

What remains:

- A print server that forgets finished jobs (in CUPS, `PreserveJobHistory No`, or more than `MaxJobs` of them) while the
  agent or the broker is down: a sheet without any other record is printed again.
- A print server that loses a job which it has accepted: CUPS writes new jobs to disk after up to 30 seconds
  (`DirtyCleanInterval`), so a power cut may cost a sheet. Such a print fails, and the console offers to repeat it.
- An agent that is suspended for longer than its lease between asking and sending, while one on another machine takes
  over: that sheet may be printed twice.
"""

import contextlib
import fcntl
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator

import redis
from redis.exceptions import RedisError

from display.printing.follower import DreamFollower
from display.printing.queue import PrintQueue
from display.printing.sender import SheetSender
from display.web.supervision import repeat_with_broker
from shared.broker.client import connect
from shared.errors import ArtDreamError
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.printing.prints import PrinterStatus
from shared.printing.table import PrintTable
from shared.private_folder import create_private_folder
from shared.redis_keys import RUNTIME_SETTINGS_KEY
from shared.runtime_settings import initialize_runtime_settings, persist_runtime_settings, update_runtime_settings
from shared.settings import ENV_PREFIX, Settings
from shared.storage.object_names import INSTALLATION_ID_NAME
from shared.storage.store import Store

logger = logging.getLogger(__name__)

#: Seconds that one look for events and requests waits at most: a guest's sheet leaves so soon.
POLL_INTERVAL_SECONDS = 0.25

#: Seconds between two questions to the printer while sheets are under way, and otherwise.
BUSY_STATUS_INTERVAL_SECONDS, IDLE_STATUS_INTERVAL_SECONDS = 1.0, 5.0

#: Seconds between two heartbeats.
HEARTBEAT_INTERVAL_SECONDS = 4.0

#: Seconds for which the lease of an agent is valid without renewal, and after which it is renewed.
LEASE_SECONDS, RENEWAL_SECONDS = 30.0, 5.0


#: State of an agent that waits for another one to end.
STANDBY = "standby"


def run(settings: Settings, stop: threading.Event) -> None:
    """Print until `stop` is set; while broker, store or print server is unavailable, prints wait.

    Raises ArtDreamError if no printer is named, its address or the store's is invalid, or another agent of this data
    folder runs.
    """
    if not settings.printer:
        raise ArtDreamError(
            f"No printer is named: set {ENV_PREFIX}PRINTER or use --printer. `lpstat -e` lists this machine's queues."
        )
    with _lock_data_folder(settings):
        PrintAgent(settings, stop).run()


@contextlib.contextmanager
def _lock_data_folder(settings: Settings) -> Iterator[None]:
    """Let one agent of this machine use a data folder. The lock ends with the process, however that ends."""
    path = settings.data / "print.lock"
    try:
        create_private_folder(path.parent)
        file = path.open("w")
    except OSError as error:
        raise ArtDreamError(f"The data folder {settings.data} cannot be used: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ArtDreamError(
                f"Another `artdream print` runs on the folder {settings.data}: stop it, or choose another with --data."
            ) from None
        yield


class PrintAgent:
    """Prints for one installation on one printer. For one thread."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        """Open store and printer without contacting them. Raises ArtDreamError if an address is invalid."""
        self._settings, self._stop = settings, stop
        self._store = Store(settings.store)
        self._queue = PrintQueue(settings.printer)
        self._sender = SheetSender(settings, self._store, self._queue)
        #: The same after a restart, which need not wait for the lease of the process before it to expire.
        self._holder = f"{socket.gethostname()}:{settings.data.absolute()}"
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._started_at = time.time()
        self._status = PrinterStatus(name=self._queue.name, state="offline")
        self._status_due_at = self._heartbeat_due_at = self._lease_ends_at = 0.0
        self._announced_state = ""

    def run(self) -> None:
        """Print until `stop` is set. Faults of broker and store are logged when they begin, and waited out."""
        logger.info("Printing on %s.", self._queue.name)
        repeat_with_broker(
            self._settings, self._stop, self._print, worker="the print agent", consequence="Prints wait."
        )
        self._leave()

    def _print(self, client: redis.Redis) -> None:
        """Print until another agent has the lease, the broker is wiped, or the agent is stopped."""
        prints, registry = PrintTable(client), HeartbeatRegistry(client)
        if not self._keep_lease(prints):
            self._announce(prints, registry, STANDBY)
            return
        initialize_runtime_settings(client, self._store, approval=self._settings.approval)
        self._sender.installation_id = self._read_installation_id()
        self._begin_automatic_printing(client)
        follower = DreamFollower(self._settings, client, self._store)
        if not prints.is_restored():
            follower.restore()
            prints.mark_restored()
        self._read_status()
        follower.catch_up()
        while not self._stop.is_set() and prints.is_restored() and self._keep_lease(prints):
            unfinished = self._sender.process(prints, follower, lambda: self._keep_lease(prints))
            if time.monotonic() >= self._status_due_at:
                self._read_status(is_busy=unfinished > 0)
            self._announce(prints, registry, self._status.state)
            follower.follow(POLL_INTERVAL_SECONDS)

    def _read_installation_id(self) -> str:
        """Return the id of the store; draw it if there is none: only the agent with the lease does."""
        text = self._store.get(INSTALLATION_ID_NAME)
        if text is None:
            text = json.dumps({"id": secrets.token_hex(4)}).encode()
            self._store.put(INSTALLATION_ID_NAME, text)
        return str(json.loads(text)["id"])

    def _begin_automatic_printing(self, client: redis.Redis) -> None:
        """Print dreams by themselves from now on if the settings say so, and the operator has not decided yet."""
        if self._settings.print_automatic and not client.hexists(RUNTIME_SETTINGS_KEY, "print_since"):
            seconds, microseconds = client.time()
            update_runtime_settings(client, print_since=seconds + microseconds / 1e6)
            persist_runtime_settings(client, self._store)

    def _read_status(self, *, is_busy: bool = False) -> None:
        self._status = self._queue.read_status()
        interval = BUSY_STATUS_INTERVAL_SECONDS if is_busy else IDLE_STATUS_INTERVAL_SECONDS
        self._status_due_at = time.monotonic() + interval

    def _announce(self, prints: PrintTable, registry: HeartbeatRegistry, state: str) -> None:
        """Announce state and printer, at once if the state has changed, else every few seconds."""
        if time.monotonic() < self._heartbeat_due_at and state == self._announced_state:
            return
        detail = f"{self._queue.name}: {self._status.message}" if self._status.message else self._queue.name
        if state != STANDBY:
            prints.set_printer(self._status)
        registry.announce(Component.PRINTER, self._name, state, detail, since=self._started_at)
        self._announced_state, self._heartbeat_due_at = state, time.monotonic() + HEARTBEAT_INTERVAL_SECONDS

    def _keep_lease(self, prints: PrintTable) -> bool:
        """Return whether this agent is the one that prints; renew its lease in time."""
        now = time.monotonic()
        if now > self._lease_ends_at - LEASE_SECONDS + RENEWAL_SECONDS:
            has_lease = prints.take_lease(self._holder, LEASE_SECONDS)
            self._lease_ends_at = now + LEASE_SECONDS if has_lease else 0.0
        return now < self._lease_ends_at

    def _leave(self) -> None:
        """Remove this agent from the registry, and let another one print at once."""
        with contextlib.suppress(RedisError, OSError, ArtDreamError), connect(self._settings.broker) as client:
            HeartbeatRegistry(client).remove(Component.PRINTER, self._name)
            if self._lease_ends_at:
                PrintTable(client).drop_lease(self._holder)
