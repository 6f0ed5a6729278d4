"""What faults are done to."""

from collections.abc import Iterator

import pytest

from tests.fault.installation import Site


@pytest.fixture(scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), grace_seconds=1.0)
    yield site
    site.close()


@pytest.fixture
def pair(_pair: Site) -> Site:
    """An installation with two workers, both idle."""
    _pair.workers = [worker for worker in _pair.workers if worker.process.poll() is None]
    starting = [_pair.start_worker(wait=False) for _ in range(2 - len(_pair.workers))]
    _pair.until(lambda: all(_pair.is_warm(worker) for worker in _pair.workers), patience=150)
    assert len(starting) <= 2
    return _pair
