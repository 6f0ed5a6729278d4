"""A Debian that several modules boot."""

from pathlib import Path

import pytest

from tests.deploy.virtual_machine import make_debian, require_systemd
from tests.servers import require_sshd


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a new Debian; skips the test if it could not be booted."""
    require_systemd()
    require_sshd()
    return make_debian(tmp_path_factory.mktemp("debian"))
