"""What a machine may lack that a test needs."""

import os
from typing import NoReturn

import pytest


def skip_or_fail(message: str) -> NoReturn:
    """End a test for which something is not installed: in CI, which installs it, it fails; elsewhere it is skipped."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
