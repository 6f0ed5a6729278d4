"""Fixtures of the tests of commands."""

import pytest

from shared.settings import Settings


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables of a command that uses the test's broker and data folder."""
    return {"ARTDREAM_BROKER_URL": settings.broker, "ARTDREAM_DATA": str(settings.data)}
