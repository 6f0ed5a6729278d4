"""Fixtures of the mirror's tests: a display with a mirror, for all tests of a module, and a browser with a camera."""

from collections.abc import Iterator

import pytest

from display.mirror.stylizer import Stylizer
from shared.settings import Settings
from tests.browser import ContextPool
from tests.display.conftest import PASSCODE, DisplayProcess
from tests.display.mirror.camera import launch_chromium_with_camera
from tests.servers import Valkey
from tests.stack import free_port


@pytest.fixture(scope="session")
def stylizer() -> Stylizer:
    """The bundled network."""
    return Stylizer()


@pytest.fixture(scope="module")
def mirror_settings(_valkey_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    data = tmp_path_factory.mktemp("mirror") / "data"
    data.mkdir()
    return Settings(
        data=data,
        broker_url=_valkey_server.url,
        port=free_port(),
        passcode=PASSCODE,
        mirror=True,
        _env_file=None,
    )


@pytest.fixture(scope="module")
def mirror_display(mirror_settings: Settings) -> Iterator[DisplayProcess]:
    """A running display with a mirror, which must stop with status 0; what it writes is for the tests."""
    display = DisplayProcess(mirror_settings)
    display.start()
    yield display
    exit_code, output, _ = display.stop()
    assert exit_code == 0
    assert "Traceback" not in output


@pytest.fixture(scope="module")
def _camera_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContextPool]:
    with launch_chromium_with_camera(tmp_path_factory.mktemp("camera")) as browser:
        yield ContextPool(browser)


@pytest.fixture
def camera_contexts(_camera_pool: ContextPool) -> Iterator[ContextPool]:
    """Contexts, for this test, of a browser with a camera."""
    yield _camera_pool
    _camera_pool.release()
