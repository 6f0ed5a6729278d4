"""Fixtures for all tests: a real Valkey, a store in a folder, settings for both, and S3, SSH and TLS Redis servers."""

import gc
import logging
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings

from shared.broker.acl import build_acl_rules
from shared.broker.client import connect
from shared.settings import Settings
from shared.storage.store import Store
from tests.redis_server import RedisServer, require_redis
from tests.servers import S3Server, SshServer, Valkey, require_sshd

if TYPE_CHECKING:
    from tests.otlp_receiver import OtlpReceiver

# Five tests run at a time, with one thread each. More threads, in each of a dozen processes, compete for the cores and
# cost a fifth more processor time.
os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}

# The profile of `make mutants`: an example that fails is enough, and need not be made smaller for minutes.
hypothesis_settings.register_profile(
    "mutants", parent=hypothesis_settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate]
)

#: Folders and modules whose tests take longest.
LONG_PLACES = {
    *("backend", "cli", "clips", "console", "consumer", "decoding", "dreaming", "e2e", "fault", "network", "pages"),
    *("mirror", "printing", "training"),
    *("test_app.py", "test_mac.py", "test_pool.py", "test_schemathesis.py", "test_vm.py", "test_watch.py"),
}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import what the tests need without garbage collections, and leave it out of later ones: all of it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest modules first, so that no process waits for one at the end; else the order stays random."""
    items.sort(key=lambda item: LONG_PLACES.isdisjoint(item.path.parts))


@pytest.fixture(autouse=True)
def _scheduling_is_kept() -> Iterator[None]:
    """Fail a test that leaves its process with real-time priority: all that it starts would starve the machine."""
    yield
    if sys.platform == "linux" and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        pytest.fail("this test left its process with real-time priority")


@pytest.fixture(autouse=True)
def _log_level_is_kept() -> Iterator[None]:
    """Restore the level of the log, which commands set that a test runs in this process."""
    level = logging.root.level
    yield
    logging.root.setLevel(level)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator["OtlpReceiver"]:
    """Yield a receiver that the tracers of this test, and of the processes it starts, send to."""
    from tests.otlp_receiver import OtlpReceiver  # imports OpenTelemetry

    receiver = OtlpReceiver()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with receiver.run():
        yield receiver


@pytest.fixture(scope="session")
def _valkey_server() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture
def broker_url(_valkey_server: Valkey) -> str:
    """Return the URL of a running, empty broker."""
    with connect(_valkey_server.url) as client:
        client.flushall()
    return _valkey_server.url


@pytest.fixture
def client(broker_url: str) -> Iterator[redis.Redis]:
    """Yield a client of that broker."""
    with connect(broker_url) as client:
        yield client


@pytest.fixture
def settings(tmp_path: Path, broker_url: str) -> Settings:
    """Return the settings of an installation used by this test only."""
    (tmp_path / "inbox").mkdir()
    return Settings(data=tmp_path / "data", inbox=tmp_path / "inbox", broker_url=broker_url, _env_file=None)


@pytest.fixture
def store(settings: Settings) -> Store:
    """Return the store of those settings."""
    return Store(settings.store)


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """Yield a running S3 server; the environment variables of its clients are set."""
    server = S3Server(tmp_path / "s3")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[SshServer]:
    """Yield a running SSH server whose host key is known."""
    require_sshd()
    server = SshServer(tmp_path / "sshd")
    server.trust_host_key()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tls_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Yield a Redis behind TLS whose user has exactly the documented permissions."""
    require_redis()
    server = RedisServer(tmp_path_factory.mktemp("redis") / "server")
    server.start()
    server.set_permissions(build_acl_rules())
    yield server
    server.stop()
