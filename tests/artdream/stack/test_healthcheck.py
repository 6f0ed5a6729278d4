"""Health checks of containers: a component is healthy only if it does its work."""

import http.server
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import redis

from artdream.stack.healthcheck import MAX_UNCLAIMED_SECONDS, _is_on_this_host, require_healthy
from shared.broker.client import BROKER_UNAVAILABLE
from shared.errors import ArtDreamError
from shared.monitoring.heartbeat import DISPLAY_HEALTH_PATH, Component, HeartbeatRegistry
from shared.settings import Settings
from tests.servers import SshServer
from tests.stack import free_port
from worker.jobs.process_id import make_process_id


@pytest.fixture
def registry(client: redis.Redis) -> HeartbeatRegistry:
    return HeartbeatRegistry(client)


def expect_failure(settings: Settings, part: Component = Component.WORKER) -> str:
    with pytest.raises(ArtDreamError) as raised:
        require_healthy(settings, part)
    return str(raised.value)


def test_a_worker_is_well_once_it_is_warm(settings: Settings, registry: HeartbeatRegistry) -> None:
    assert "No worker is running on this machine." in expect_failure(settings)
    registry.announce(Component.WORKER, make_process_id(7), "warming up")
    assert "No worker on this machine is warm: warming up" in expect_failure(settings)
    registry.announce(Component.WORKER, make_process_id(7), "ready")
    require_healthy(settings, Component.WORKER)


def test_another_machine_s_worker_makes_nobody_well(settings: Settings, registry: HeartbeatRegistry) -> None:
    registry.announce(Component.WORKER, "elsewhere-7", "ready")
    assert "No worker is running on this machine." in expect_failure(settings)
    for name in (f"{platform.node()}0-12345678-7", f"{platform.node()}-2-12345678-7", f"{platform.node()}-2:8080"):
        assert not _is_on_this_host(name)


def test_a_worker_that_leaves_jobs_waiting_is_not_well(
    settings: Settings, registry: HeartbeatRegistry, client: redis.Redis
) -> None:
    """The worker sends heartbeats throughout."""
    registry.announce(Component.WORKER, make_process_id(7), "ready", since=time.time() - MAX_UNCLAIMED_SECONDS - 1)
    require_healthy(settings, Component.WORKER)
    client.lpush("live", "{}")
    assert "Jobs are queued" in expect_failure(settings)
    registry.announce(Component.WORKER, make_process_id(8), "dreaming", since=time.time() - MAX_UNCLAIMED_SECONDS - 1)
    require_healthy(settings, Component.WORKER)


def test_a_worker_of_one_lane_is_not_blamed_for_the_other(
    settings: Settings, registry: HeartbeatRegistry, client: redis.Redis
) -> None:
    registry.announce(
        Component.WORKER, make_process_id(7), "ready", since=time.time() - MAX_UNCLAIMED_SECONDS - 1, lanes=["batch"]
    )
    client.lpush("live", "{}")
    require_healthy(settings, Component.WORKER)
    client.lpush("batch", "{}")
    assert "Jobs are queued" in expect_failure(settings)


def test_a_producer_is_well_while_it_is_heard_of(settings: Settings, registry: HeartbeatRegistry) -> None:
    assert "No producer is running on this machine." in expect_failure(settings, Component.PRODUCER)
    registry.announce(Component.PRODUCER, make_process_id(7), "watching")
    require_healthy(settings, Component.PRODUCER)


def test_a_producer_is_asked_for_where_its_broker_is(
    settings: Settings, registry: HeartbeatRegistry, sshd: SshServer
) -> None:
    """Seen failing: without SSH, it asked on this machine."""
    login = {"ssh": sshd.address, "ssh_key": sshd.key, "ssh_known_hosts": sshd.known_hosts}
    registry.announce(Component.PRODUCER, make_process_id(7), "watching")
    require_healthy(settings.model_copy(update=login), Component.PRODUCER)
    sshd.stop()
    with pytest.raises(BROKER_UNAVAILABLE):
        require_healthy(settings.model_copy(update=login), Component.PRODUCER)


def test_a_display_is_well_while_it_says_so_with_or_without_a_broker() -> None:
    statuses = iter([200, 503])

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(next(statuses) if self.path == DISPLAY_HEALTH_PATH else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    port = free_port()
    settings = Settings(broker_url="redis://127.0.0.1:1/0", port=port, _env_file=None)
    assert f"The display does not answer at http://127.0.0.1:{port}/" in expect_failure(settings, Component.DISPLAY)
    with http.server.HTTPServer(("127.0.0.1", port), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        require_healthy(settings, Component.DISPLAY)
        assert "503" in expect_failure(settings, Component.DISPLAY)
        server.shutdown()


@pytest.mark.parametrize("module", ["artdream.stack.healthcheck", "artdream.present"])
def test_a_broker_that_is_away_is_one_line_and_an_exit_code(module: str, tmp_path: Path) -> None:
    """Also by the name that health checks of earlier versions call."""
    completed = subprocess.run(
        [sys.executable, "-m", module, "worker"],
        cwd=Path(__file__).parents[3],
        env={"ARTDREAM_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0", "ARTDREAM_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 1
    assert len(completed.stderr.splitlines()) == 1
