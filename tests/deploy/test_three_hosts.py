"""The README's three uses: containers of the images as the Mac and as a VM with a GPU, and a VM that was installed."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shared.jobs.events import Completed, Started
from tests.deploy.containers import ContainerHost, build_images, require_engine, run_docker
from tests.deploy.remote_vm import RemoteVm
from tests.deploy.virtual_machine import VirtualMachine
from tests.network.virtual_network import virtual_network
from tests.pictures import encode_heic, make_picture
from tests.stack import drop_file
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

#: Photos of the batch, for two recipes each: enough that a worker can join while it is dreamt.
BATCH_SIZE = 8


class Venue:
    """The three machines: `mac` and `gpu` run the images, `vm` what deploy/vm/install made."""

    def __init__(self, mac: ContainerHost, gpu: ContainerHost, vm: RemoteVm, gpu_addresses: tuple[str, str]) -> None:
        """gpu_addresses: of the VM and of the Mac, for the machine with the GPU."""
        self.mac, self.gpu, self.vm = mac, gpu, vm
        self._gpu_addresses = gpu_addresses
        self.downloads, self.pictures, self.data, self.ssh = (
            vm.folder / name for name in ("Downloads", "Pictures", "data", "ssh")
        )
        for folder in (self.downloads, self.pictures, self.data, self.ssh):
            folder.mkdir(mode=0o777)
            folder.chmod(0o777)  # the containers' user is not this one

    def trust_vm(self) -> None:
        """Accept the VM's host key, and give the containers a key that it accepts."""
        key = (self.vm.machine.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2]
        names = (self.vm.address, self._gpu_addresses[0])
        (self.ssh / "known_hosts").write_text("".join(f"{name} {' '.join(key)}\n" for name in names))
        shutil.copyfile(self.vm.machine.key, self.ssh / "key")
        shutil.chown(self.ssh / "key", 10001, 10001)
        (self.ssh / "key").chmod(0o600)

    @property
    def mac_environment(self) -> dict[str, str]:
        """The Mac's settings."""
        login = {"ARTDREAM_SSH_KEY": "/ssh/key", "ARTDREAM_SSH_KNOWN_HOSTS": "/ssh/known_hosts"}
        return self.vm.environment | login

    @property
    def gpu_environment(self) -> dict[str, str]:
        """The settings of the machine with the GPU, which reaches VM and bucket at other addresses."""
        vm_address, mac_address = self._gpu_addresses
        moved = {"ARTDREAM_SSH": f"artist@{vm_address}", **self.vm.s3.environment_for(mac_address)}
        return self.mac_environment | moved | {"ARTDREAM_RECIPE": "lines", "ARTDREAM_CLIPS": "false"}

    def get(self, path: str) -> bytes:
        """Return what the display answers to a browser on the Mac; nothing if it does not answer."""

        def read() -> bytes:
            with urllib.request.urlopen(f"http://127.0.0.1:8501{path}", timeout=10) as response:
                return bytes(response.read())

        try:
            return self.mac.host.run_inside(read)
        except OSError:
            return b""

    def is_gpu_dreaming(self) -> bool:
        """Return whether the worker that joined has started a job and not completed it."""
        events = self.vm.read_events()
        completed = {event.job_id for event in events if isinstance(event, Completed)}
        started = {event.job_id: event.worker for event in events if isinstance(event, Started)}
        return any(not worker.startswith("vm-") for job_id, worker in started.items() if job_id not in completed)

    def list_shown(self) -> set[str]:
        """Return the jobs whose dreams the gallery shows."""
        return {dream["job_id"] for dream in json.loads(self.get("/gallery/dreams") or '{"dreams": []}')["dreams"]}


@pytest.fixture(scope="module")
def venue(debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """The three machines; the VM's worker is warm, the Mac runs producer and display."""
    require_engine()
    build_images()
    folder = tmp_path_factory.mktemp("venue")
    with virtual_network() as network, ExitStack() as resources:
        mac, gpu = (resources.enter_context(ContainerHost(name, network)) for name in ("mac", "gpu"))
        host = network.add_host("vm", "bbr")
        machine = resources.enter_context(VirtualMachine(debian, folder / "machine", host))
        addresses = network.connect_local(mac.host, host)
        gpu_addresses = network.connect_local(host, gpu.host)[0], network.connect_local(mac.host, gpu.host)[0]
        machine.boot()
        vm = resources.enter_context(RemoteVm(machine, mac.host, addresses, folder))
        vm.copy_checkout()
        vm.install()
        vm.set_store()
        venue = Venue(mac, gpu, vm, gpu_addresses)
        venue.trust_vm()
        folders = {venue.ssh: "/ssh", venue.data: "/data"}
        downloads = {venue.downloads: "/Downloads"}
        for target, command, seen in (
            ("producer", ("watch", "--new-only", "/Downloads"), folders | downloads),
            ("display", ("display",), folders),
        ):
            mac.start(target, *command, environment=venue.mac_environment, folders=seen)
        wait_until(lambda: venue.get("/gallery/dreams"), "the display answers", explain=mac.read_logs)
        wait_until(lambda: "watching" in mac.read_logs().lower(), "the producer watches", explain=mac.read_logs)
        yield venue


def test_a_photo_from_airdrop_is_dreamt_in_the_vm_and_shown_at_the_venue(venue: Venue) -> None:
    drop_file(venue.downloads, "IMG_0001.heic", encode_heic(make_picture(1)))
    venue.vm.photo_count += 1
    venue.vm.require_all_dreamt_once()
    [event] = [event for event in venue.vm.read_events() if isinstance(event, Completed)]
    wait_until(lambda: venue.list_shown() == {event.job_id}, "it is shown", explain=venue.mac.read_logs)
    wait_until(venue.mac.is_healthy, "producer and display are healthy", explain=venue.mac.read_logs)


def test_a_batch_comes_back_whole_although_a_worker_that_joined_is_killed(venue: Venue) -> None:
    photos, dreams = venue.pictures / "2026", venue.pictures / "dreams"
    photos.mkdir()
    for number in range(BATCH_SIZE):
        (photos / f"IMG_{number}.heic").write_bytes(encode_heic(make_picture(100 + number)))
    venue.vm.photo_count += 2 * BATCH_SIZE
    gpu_worker = venue.gpu.start("worker", "worker", environment=venue.gpu_environment, folders={venue.ssh: "/ssh"})
    wait_until(
        lambda: "is warm after" in venue.gpu.read_logs(), "the GPU's worker is warm", explain=venue.gpu.read_logs
    )

    command = "send /pictures/2026 --recipe animals --recipe lines --wait --out /pictures/dreams"
    folders = {venue.ssh: "/ssh", venue.data: "/data", venue.pictures: "/pictures"}
    sending = venue.mac.start("producer", *command.split(), environment=venue.mac_environment, folders=folders)
    wait_until(venue.is_gpu_dreaming, "it dreams", explain=venue.gpu.read_logs)
    run_docker("kill", gpu_worker)
    assert run_docker("wait", sending).strip() == "0", venue.mac.read_logs()
    names = {f"IMG_{number}-{recipe}.jpg" for number in range(BATCH_SIZE) for recipe in ("animals", "lines")}
    assert {path.name for path in dreams.iterdir()} == names
    venue.vm.require_all_dreamt_once()
    wait_until(lambda: len(venue.list_shown()) == venue.vm.photo_count, "all are shown", explain=venue.mac.read_logs)
