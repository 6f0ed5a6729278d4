"""Skips for missing requirements, which are failures in CI."""

import os
from typing import NoReturn

import pytest


def skip_or_fail(message: str) -> NoReturn:
    """End a test whose requirement is missing: it fails in CI, which installs everything, and is skipped elsewhere."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
