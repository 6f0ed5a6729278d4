"""Fixture: what submits photos and jobs."""

from collections.abc import Iterator

import pytest

from producer.outbox.submission import SubmissionClient
from shared.settings import Settings


@pytest.fixture
def submission_client(settings: Settings) -> Iterator[SubmissionClient]:
    with SubmissionClient(settings) as submission:
        yield submission
