"""The stack that the tests of a module share; its recipe is short, because the tests are not about dreaming."""

from collections.abc import Iterator

import pytest

from tests.recipes import write_recipe
from tests.stack import RunningStack


@pytest.fixture(scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("up")
    with RunningStack(folder, "--recipe", str(write_recipe(folder))) as stack:
        yield stack


@pytest.fixture
def stack(_stack: RunningStack) -> RunningStack:
    """A running stack whose worker is ready."""
    if not _stack.running:
        _stack.start()
    return _stack
