"""Fixtures of the webhook tests: receivers, endpoints, and deliverers in threads and in processes."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import redis

from display.pages.share_links import ShareLinks
from display.webhooks.deliverer import run
from display.webhooks.sender import DeliveryTiming
from display.webhooks.signing import derive_secret, digest_secret
from shared.settings import Settings
from shared.storage.store import Store
from shared.webhooks.endpoints import Endpoint, Endpoints, draw_endpoint_id
from shared.webhooks.table import MessageType
from tests.display.fake_pipeline import FakePipeline
from tests.display.webhooks.receiver import Receiver
from tests.threads import running_in_thread

#: Times that tests need not wait for.
FAST = DeliveryTiming(
    retry_seconds=(0.1, 0.1, 0.1), attempt_seconds=3.0, claim_seconds=6.0, delay_seconds=0.0, poll_seconds=0.05
)

#: Runs a deliverer with the times of FAST, as `artdream webhooks` does.
PROGRAM = """
import threading
from display.webhooks.deliverer import run
from tests.display.webhooks.conftest import PATIENT
from shared.settings import Settings
run(Settings.read(), threading.Event(), PATIENT)
"""

#: As FAST, with more attempts than a test lets fail.
PATIENT = DeliveryTiming(
    retry_seconds=(0.1,) * 1000, attempt_seconds=5.0, claim_seconds=8.0, delay_seconds=0.0, poll_seconds=0.05
)

DelivererRunner = Callable[..., AbstractContextManager[None]]
EndpointMaker = Callable[..., Endpoint]


@pytest.fixture
def pipeline(client: redis.Redis, store: Store) -> FakePipeline:
    return FakePipeline(client, store)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def add_endpoint(settings: Settings, client: redis.Redis, store: Store) -> EndpointMaker:
    """Add an endpoint as `artdream webhook add` does."""

    def add_endpoint(url: str, types: tuple[MessageType, ...] = tuple(MessageType), key_id: str = "") -> Endpoint:
        endpoint_id = draw_endpoint_id()
        digest = digest_secret(derive_secret(ShareLinks(settings), endpoint_id))
        return Endpoints(client, store).add(endpoint_id, url, types, key_id, digest)

    return add_endpoint


@pytest.fixture
def running_deliverer(settings: Settings) -> DelivererRunner:
    """Run a deliverer, which must stop without an error when the context ends."""

    def running_deliverer(timing: DeliveryTiming = FAST) -> AbstractContextManager[None]:
        return running_in_thread(lambda stop: run(settings, stop, timing))

    return running_deliverer


def start_process(settings: Settings) -> subprocess.Popen[bytes]:
    """Start a deliverer in a process of its own."""
    environment = settings.to_environment()
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment | {"PYTHONPATH": "."})
