"""Fixtures of the fault tests."""

from collections.abc import Iterator

import pytest

from tests.fault.installation import FaultInstallation


@pytest.fixture(scope="module")
def _two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultInstallation]:
    installation = FaultInstallation(tmp_path_factory.mktemp("site"), grace_seconds=1.0)
    yield installation
    installation.close()


@pytest.fixture
def two_workers(_two_workers: FaultInstallation) -> FaultInstallation:
    """An installation with two workers, both idle."""
    _two_workers.workers = [worker for worker in _two_workers.workers if worker.process.poll() is None]
    for _ in range(2 - len(_two_workers.workers)):
        _two_workers.start_worker(wait=False)
    _two_workers.wait_until(lambda: all(_two_workers.is_warm(worker) for worker in _two_workers.workers))
    return _two_workers


@pytest.fixture
def no_workers(_two_workers: FaultInstallation) -> Iterator[FaultInstallation]:
    """The same installation without a worker; those that the test starts, with settings of its own, end with it."""
    _kill_workers(_two_workers)
    yield _two_workers
    _kill_workers(_two_workers)


def _kill_workers(installation: FaultInstallation) -> None:
    for worker in installation.workers:
        worker.kill()
