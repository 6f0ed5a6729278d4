"""`artdream webhooks` in a process of its own, and in the stack."""

import signal
from pathlib import Path
from urllib.request import urlopen

import redis
from rich.console import Console

from artdream.stack.report import ConsoleReport
from artdream.stack.supervisor import Supervisor
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.settings import Settings
from tests.display.fake_pipeline import FakePipeline
from tests.display.webhooks.conftest import EndpointMaker
from tests.display.webhooks.receiver import Receiver
from tests.stack import free_port, start_artdream
from tests.waiting import wait_until


def test_the_command_delivers_reports_itself_and_ends_when_it_is_asked(
    settings: Settings,
    client: redis.Redis,
    pipeline: FakePipeline,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
    tmp_path: Path,
) -> None:
    def list_deliverers() -> list[str]:
        heartbeats = HeartbeatRegistry(client).list_heartbeats()
        return [f"{one.state}: {one.detail}" for one in heartbeats if one.part is Component.WEBHOOKS]

    add_endpoint(receiver.url)
    port = free_port()
    environment = settings.model_copy(update={"webhooks_metrics_port": port}).to_environment()
    process = start_artdream("webhooks", folder=tmp_path, environment=environment)
    try:
        wait_until(list_deliverers, "the deliverer is there")
        assert list_deliverers() == ["ready: 1 endpoint"]
        job = pipeline.add_dream((20, 90, 30))
        wait_until(lambda: receiver.requests, "the dream is told")
        assert receiver.jobs == {job.id: 1}

        def is_counted() -> bool:
            with urlopen(f"http://127.0.0.1:{port}/metrics") as response:
                return b'artdream_webhooks_total{outcome="delivered"} 1.0' in response.read()

        wait_until(is_counted, "the delivery is counted")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert list_deliverers() == []
    finally:
        process.kill()
        process.wait()


def test_the_stack_delivers_if_it_is_asked_to(settings: Settings) -> None:
    def list_components(**changes: object) -> list[str]:
        report = ConsoleReport(Console(quiet=True))
        supervisor = Supervisor(settings.model_copy(update=changes), workers=1, demo=False, report=report)
        return [process.name for process in supervisor._components]

    assert "webhooks" in list_components(webhooks=True)
    assert "webhooks" not in list_components()
