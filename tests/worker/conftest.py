"""What several modules need that dream with the real engine."""

import pytest
import redis

from shared.settings import Settings
from tests.worker.jobs.processor_harness import House
from worker.dreaming.engine import Engine


@pytest.fixture(scope="package")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine.from_settings(Settings(data=tmp_path_factory.mktemp("engine"), _env_file=None), None)


@pytest.fixture
def house(settings: Settings, client: redis.Redis, _engine: Engine) -> House:
    """A studio that dreams up to four photos together."""
    return House(settings, client, _engine)
