"""Fixtures of tests that use the real engine."""

import pytest
import redis

from shared.settings import Settings
from tests.worker.jobs.processor_harness import ProcessorHarness
from worker.dreaming.engine import Engine


@pytest.fixture(scope="package")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine.from_settings(Settings(data=tmp_path_factory.mktemp("engine"), _env_file=None), None)


@pytest.fixture
def harness(settings: Settings, client: redis.Redis, _engine: Engine) -> ProcessorHarness:
    """Return a job processor that renders up to four photos in one batch."""
    return ProcessorHarness(settings, client, _engine)
