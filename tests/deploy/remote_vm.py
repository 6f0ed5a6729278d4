"""A VM that deploy/vm/install set up, and a Mac that sends photos to it over SSH."""

import re
import secrets
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Self

from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.jobs.events import STREAM_START_ID, Completed, Event, EventReader, Failed, Started
from tests.deploy.virtual_machine import USER, VirtualMachine
from tests.network.virtual_network import VirtualHost
from tests.pictures import encode_jpeg, make_picture
from tests.servers import S3Server
from tests.stack import operator_environment
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]

#: A bundled recipe, and one of the fastest.
RECIPE = "lines"


class RemoteVm:
    """A booted VM of the README's “A live installation”, and the commands that its operator types on a Mac.

    The bucket is an S3 server on the Mac, as if both machines reached one in a cloud.
    """

    def __init__(self, machine: VirtualMachine, mac: VirtualHost, addresses: tuple[str, str], folder: Path) -> None:
        """addresses: of the Mac and of the VM. folder: for the Mac's data and the bucket."""
        self.machine, self.mac, self.folder = machine, mac, folder
        self.mac_address, self.address = addresses
        self.account = f"{USER}@{self.address}"
        self.s3 = S3Server(folder / "s3", host=mac)
        self._store = {"ARTDREAM_STORE_URL": self.s3.url, **self.s3.environment_for(self.mac_address)}
        self._known_hosts = folder / "known_hosts"
        self.photo_count = 0

    def __enter__(self) -> Self:
        self.s3.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.s3.stop()

    def ssh(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the VM as its user, from the Mac."""
        options = [f"UserKnownHostsFile={self._known_hosts}", "StrictHostKeyChecking=accept-new", "BatchMode=yes"]
        arguments = ["-i", str(self.machine.key), *(word for option in options for word in ("-o", option))]
        completed = subprocess.run(
            [*self.mac.command_prefix, "ssh", *arguments, self.account, command],
            capture_output=True,
            text=True,
            check=False,
        )
        assert completed.returncode == 0 or not check, completed.stdout + completed.stderr
        return completed

    def copy_checkout(self, commit: str = "") -> None:
        """Put a checkout into the user's home on the VM, in place of an earlier one.

        commit: the files of this one; by default those that are here
        """
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        packing = ["git", "archive", commit] if commit else ["tar", "-c", "--null", "--ignore-failed-read", "-T", "-"]
        names = None if commit else subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout
        packed = subprocess.run(packing, input=names, cwd=ROOT, capture_output=True, check=True).stdout
        checkout = self.machine.root / "home" / USER / "artdream"
        subprocess.run(["rm", "-rf", str(checkout)], check=True)
        checkout.mkdir()
        subprocess.run(["tar", "-x", "-C", checkout], input=packed, check=True)
        self.machine.run(f"chown -R {USER}: /home/{USER}/artdream")

    def install(self, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the script in the checkout, as the README says for a VM without a card."""
        return self.ssh("cd artdream && sudo deploy/vm/install --without-gpu", check=check)

    def set_store(self) -> None:
        """Write the bucket and its keys where the README says, and restart the worker."""
        settings = self._store | {"ARTDREAM_RECIPE": RECIPE, "ARTDREAM_CLIPS": "false"}
        for name, value in settings.items():
            file = "secrets.env" if "SECRET" in name or "KEY" in name else "worker.env"
            self.ssh(f"echo {shlex.quote(f'{name}={value}')} | sudo tee --append /etc/artdream/{file} >/dev/null")
        self.ssh("sudo systemctl restart artdream-worker")

    @property
    def password(self) -> str:
        """The broker's."""
        found = re.search(r"redis://:([0-9a-f]{48})@", (self.machine.root / "etc/artdream/secrets.env").read_text())
        assert found
        return found[1]

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the Mac, as the README says."""
        return {
            "ARTDREAM_SSH": self.account,
            "ARTDREAM_SSH_KEY": str(self.machine.key),
            "ARTDREAM_SSH_KNOWN_HOSTS": str(self._known_hosts),
            "ARTDREAM_BROKER_URL": self._broker_url,
            **self._store,
        }

    def artdream(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an `artdream` command on the Mac to its end."""
        environment = operator_environment() | self.environment | {"ARTDREAM_DATA": str(self.folder / "mac")}
        return subprocess.run(
            [*self.mac.command_prefix, sys.executable, "-m", "artdream", *arguments],
            cwd=self.folder,
            env=environment | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    def send_photos(self, count: int, *arguments: str) -> None:
        """Send photos that were not sent before. arguments: further ones of `artdream send`."""
        folder = self.folder / secrets.token_hex(4)
        folder.mkdir()
        for _ in range(count):
            self.photo_count += 1
            picture = encode_jpeg(make_picture(self.photo_count, (640, 480)))
            (folder / f"{self.photo_count}.jpg").write_bytes(picture)
        completed = self.artdream("send", str(folder), "--recipe", RECIPE, *arguments)
        assert completed.returncode == 0, completed.stdout + completed.stderr

    def read_events(self) -> list[Event]:
        """Return all events since the broker's first start; none if it does not answer."""

        def read() -> list[Event]:
            with connect(self._broker_url) as client:
                return [recorded.event for recorded in EventReader(client, STREAM_START_ID).read(max_events=50_000)]

        try:
            return self.machine.host.run_inside(read)
        except BROKER_UNAVAILABLE:
            return []

    def count_started(self) -> int:
        """Return how often a job was started."""
        return sum(isinstance(event, Started) for event in self.read_events())

    def wait_until_dreaming(self, started_before: int) -> None:
        """Wait until a worker has started a job more."""
        wait_until(lambda: self.count_started() > started_before, "a dream is under way", explain=self.read_journal)

    def require_all_dreamt_once(self) -> None:
        """Wait until all photos are dreamt; fail if one was dreamt twice or failed."""
        wait_until(
            lambda: len(self._count_completions()) == self.photo_count, "all are dreamt", explain=self.read_journal
        )
        assert set(self._count_completions().values()) == {1}

    def _count_completions(self) -> Counter[str]:
        events = self.read_events()
        assert not [event for event in events if isinstance(event, Failed)]
        return Counter(event.job_id for event in events if isinstance(event, Completed))

    def get_pid(self, unit: str) -> int:
        """Return the main process of a unit, as the VM numbers it; 0 if there is none."""
        return int(self.machine.run(f"systemctl show --property MainPID --value {unit}"))

    def read_journal(self, unit: str = "artdream-*") -> str:
        """Return what the units said since the VM was booted."""
        return self.machine.run(f"journalctl --no-pager --boot --unit '{unit}' | tail -n 60", check=False)

    @property
    def _broker_url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:6379/0"
