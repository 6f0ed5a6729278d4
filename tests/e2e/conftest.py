"""The stack that the tests of a module share; its dreams are short, for the tests are about the way."""

from collections.abc import Iterator

import pytest

from tests.recipes import write_recipe
from tests.stack import RunningStack


@pytest.fixture(scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("up")
    with RunningStack(folder, "--recipe", str(write_recipe(folder))) as up:
        yield up


@pytest.fixture
def stack(_stack: RunningStack) -> RunningStack:
    """A running, warm stack."""
    if not _stack.running:
        _stack.start()
    return _stack
