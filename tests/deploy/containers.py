"""The Compose project in containers: images of this checkout, and networks, volumes and an inbox of its own."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from urllib.request import urlopen

import pytest
import redis

from shared.broker.client import connect
from shared.jobs.events import STREAM_START_ID, Completed, Event, EventReader, Failed, Started
from tests.deploy.compose import COMPOSE_PATH, REQUIRED_SECRETS, ROOT, parse_dockerfile
from tests.network.virtual_network import VirtualNetwork
from tests.pictures import encode_jpeg, make_picture
from tests.skip import skip_or_fail
from tests.waiting import wait_until

#: Debian's client if there is one: it builds without buildx, which Debian 12 does not have.
DOCKER_PATH = shutil.which("docker", path=f"/usr/bin:{os.environ['PATH']}")

#: Built here; the GPU's needs 9 GB more, and something to run on.
TARGETS = ("store", "worker", "display", "producer")


def run_docker(*arguments: str | Path, check: bool = True) -> str:
    """Run a command of Docker's client in the checkout and return what it printed."""
    assert DOCKER_PATH
    return _run([DOCKER_PATH, *arguments], os.environ | {"DOCKER_BUILDKIT": "1"}, check)


def require_engine() -> None:
    """Skip the test unless it was asked for and an engine answers; asked for in CI, fail it."""
    if not os.environ.get("ARTDREAM_CONTAINERS"):
        pytest.skip("builds images for minutes: make test-containers")
    if DOCKER_PATH is None or "Server Version" not in run_docker("info", check=False):
        skip_or_fail("needs Docker's engine, running: apt install docker.io debootstrap, and start dockerd as root")


def build_images() -> None:
    """Build the images of deploy/Dockerfile, on stand-ins where the published ones cannot be pulled."""
    _run([ROOT / "deploy/bases"], dict(os.environ))
    for target in TARGETS:
        assert target in parse_dockerfile()
        tag = f"artdream-{target}"
        previous = run_docker("images", "--quiet", tag).strip()
        run_docker("build", "--file", "deploy/Dockerfile", "--target", target, "--tag", tag, ".")
        if previous and previous != run_docker("images", "--quiet", tag).strip():
            # An image that lost its tag would stay: gigabytes with each change. One that is in use does stay.
            run_docker("image", "rm", previous, check=False)


class ContainerHost:
    """A machine whose programs are containers of the images; its network has no links until it is given some."""

    def __init__(self, name: str, network: VirtualNetwork) -> None:
        self._name = f"artdream-test-{name}-{secrets.token_hex(4)}"
        self._containers: list[str] = []
        # The network belongs to a container that does nothing.
        idle = ["--entrypoint", "sleep", "artdream-producer", "infinity"]
        container = run_docker(
            "run", "--detach", "--no-healthcheck", "--network", "none", "--name", self._name, *idle
        ).strip()
        self._containers.append(container)
        pid = run_docker("inspect", "--format", "{{.State.Pid}}", container)
        self.host = network.adopt_host(name, int(pid))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        run_docker("rm", "--force", "--volumes", *self._containers)

    def start(
        self,
        target: str,
        *arguments: str,
        environment: Mapping[str, str],
        folders: Mapping[Path, str] = MappingProxyType({}),
    ) -> str:
        """Start a container of an image and return its id. folders: of this machine, and their names in it."""
        options = [
            "--network",
            f"container:{self._name}",
            "--init",
            "--read-only",
            "--tmpfs",
            "/tmp",
            "--cap-drop",
            "ALL",
        ]
        options += [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        options += [word for folder, name in folders.items() for word in ("--volume", f"{folder}:{name}")]
        container = run_docker("run", "--detach", *options, f"artdream-{target}", *arguments).strip()
        self._containers.append(container)
        return container

    def is_healthy(self) -> bool:
        """Return whether the engine found all its containers healthy, if their images have a check."""
        states = (run_docker("inspect", "--format", "{{json .State}}", container) for container in self._containers)
        return all(json.loads(state).get("Health", {"Status": "healthy"})["Status"] == "healthy" for state in states)

    def read_logs(self) -> str:
        """Return the last lines of all containers."""
        return "\n".join(run_docker("logs", "--tail", "30", container, check=False) for container in self._containers)


class ContainerProject:
    """A project of docker-compose.yml with the producer's profile; its context removes all but the images."""

    def __init__(self, folder: Path, recipe: str) -> None:
        """folder: for the inbox. recipe: name of the one that photos are dreamt with."""
        self.name = f"artdream-test-{secrets.token_hex(4)}"
        self.inbox = folder / "inbox"
        self.inbox.mkdir()
        # The port is the same in all projects, so each has an address of its own.
        self.host = f"127.{secrets.randbelow(254) + 1}.0.{secrets.randbelow(254) + 1}"
        own = {name: value for name, value in os.environ.items() if not name.startswith("ARTDREAM_")}
        self._environment = own | REQUIRED_SECRETS
        self._environment |= {"ARTDREAM_HOST": self.host, "ARTDREAM_INBOX": str(self.inbox), "ARTDREAM_RECIPE": recipe}
        self.photo_count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "0")

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run a command of Compose in the checkout and return what it printed."""
        options = ["--env-file", "/dev/null", "--project-name", self.name, "--profile", "producer"]
        return _run([COMPOSE_PATH, *options, *arguments], self._environment, check)

    def up(self) -> None:
        """Start what does not run, from the images that are there."""
        self.compose("up", "--detach", "--no-build", "--pull", "never")

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine knows about the service's container."""
        [container] = json.loads(run_docker("inspect", f"{self.name}-{service}-1"))
        return dict(container)

    def wait_until_healthy(self, *services: str) -> None:
        """Wait until the engine found the services healthy."""
        for service in services:
            wait_until(
                lambda service=service: self.inspect(service)["State"].get("Health", {}).get("Status") == "healthy",  # type: ignore[misc]
                f"{service} is healthy",
                explain=self.read_logs,
            )

    def execute(self, service: str, script: str, *, check: bool = True) -> str:
        """Run a shell script in the service's container and return what it printed."""
        return self.compose("exec", "--no-TTY", service, "sh", "-c", script, check=check)

    def crash(self, service: str) -> None:
        """Kill all processes of a service as a lack of memory does, and wait until the engine has started it again."""
        restarts = self.inspect(service)["RestartCount"]
        self.execute(service, "kill -9 -1", check=False)
        wait_until(
            lambda: self.inspect(service)["RestartCount"] > restarts and self.inspect(service)["State"]["Running"],
            f"{service} was started again",
            explain=self.read_logs,
        )

    def drop_photos(self, count: int) -> None:
        """Put photos into the inbox that were not there before."""
        for _ in range(count):
            self.photo_count += 1
            picture = encode_jpeg(make_picture(self.photo_count, (640, 480)))
            partial = self.inbox / f".{self.photo_count}.part"
            partial.write_bytes(picture)
            partial.rename(self.inbox / f"{self.photo_count}.jpg")

    def read_events(self) -> list[Event]:
        """Return all events since the broker's first start. Raises RedisError."""
        [address] = [
            network["IPAddress"]
            for name, network in self.inspect("valkey")["NetworkSettings"]["Networks"].items()
            if name.endswith("_inside")
        ]
        password = REQUIRED_SECRETS["ARTDREAM_BROKER_PASSWORD"]
        with connect(f"redis://artdream:{password}@{address}:6379/0") as client:
            return [recorded.event for recorded in EventReader(client, STREAM_START_ID).read(max_events=50_000)]

    def count_completions(self) -> Counter[str]:
        """Return how often each job was completed; fail if one failed."""
        events = self.read_events()
        assert not [event for event in events if isinstance(event, Failed)]
        return Counter(event.job_id for event in events if isinstance(event, Completed))

    def is_dreaming(self) -> bool:
        """Return whether a worker has started a job that has not ended; False while the broker starts."""
        with contextlib.suppress(redis.ConnectionError):
            started = {event.job_id for event in self.read_events() if isinstance(event, Started)}
            return bool(started - set(self.count_completions()))
        return False

    def has_dreamt_all(self) -> bool:
        """Return whether a job was completed for each photo; False while the broker starts."""
        with contextlib.suppress(redis.ConnectionError):
            return len(self.count_completions()) >= self.photo_count
        return False

    def get(self, path: str) -> bytes:
        """Return what the display answers to a browser of this machine."""
        with urlopen(f"http://{self.host}:8501{path}", timeout=10) as response:
            return bytes(response.read())

    def read_logs(self) -> str:
        """Return the last lines of all services."""
        return self.compose("logs", "--tail", "15", check=False)


def _run(command: list[str | Path], environment: dict[str, str], check: bool = True) -> str:
    completed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert completed.returncode == 0 or not check, completed.stdout + completed.stderr
    return completed.stdout if check else completed.stdout + completed.stderr
