"""The stack that the tests of a module share; its dreams are short, for the tests are about the way."""

from collections.abc import Iterator

import pytest

from tests.recipes import write_recipe
from tests.stack import Up


@pytest.fixture(scope="module")
def _up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    with Up(folder, "--recipe", str(write_recipe(folder))) as up:
        yield up


@pytest.fixture
def up(_up: Up) -> Up:
    """A running, warm stack."""
    if not _up.running:
        _up.start()
    return _up
