"""Fixtures of the worker's tests."""

import pytest
import redis

from shared.settings import Settings
from tests.dreamer import StepDreamer
from tests.worker.jobs.processor_harness import ProcessorHarness


@pytest.fixture
def harness(settings: Settings, client: redis.Redis) -> ProcessorHarness:
    """Return a job processor that renders up to four photos in one batch."""
    return ProcessorHarness(settings, client, StepDreamer.from_settings(settings))
