"""The store refuses connections, is slow, stops or corrupts data while jobs run, and every job ends once."""

from collections.abc import Iterator

import pytest

from shared.jobs.events import Completed
from shared.storage.object_names import dream_name, photo_name
from shared.storage.store import Store, StoreError
from tests.fault.faulty_proxy import FaultyProxy, LinkState
from tests.fault.installation import FaultInstallation
from tests.pictures import encode_jpeg, make_picture
from tests.servers import S3Server


@pytest.fixture(scope="module")
def bucket_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultInstallation, FaultyProxy]]:
    """An installation whose worker connects to its bucket through a proxy."""
    folder = tmp_path_factory.mktemp("cloud")
    server = S3Server(folder / "s3")
    server.start()
    proxy = FaultyProxy(server.port)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in server.environment.items():
            environment.setenv(name, value)
        installation = FaultInstallation(folder / "site", store_url=server.url)
        proxy_environment = {"AWS_ENDPOINT": f"http://127.0.0.1:{proxy.port}"}
        installation.start_worker(environment=proxy_environment)
        yield installation, proxy
        installation.close()
        proxy.close()
        server.stop()


@pytest.mark.parametrize("state", [LinkState.CUT, LinkState.SILENT])
def test_a_store_that_goes_while_a_dream_goes_on_is_waited_for(
    bucket_installation: tuple[FaultInstallation, FaultyProxy], state: LinkState
) -> None:
    installation, proxy = bucket_installation
    job = installation.start_held_job(1 if state is LinkState.CUT else 2)
    following = installation.submit(3 if state is LinkState.CUT else 4)
    installation.log.write_text("")
    proxy.state = state
    installation.release_dreams()
    installation.wait_until(lambda: "waiting: " in installation.log.read_text())  # for the store, to publish
    assert not installation.is_ended(job)
    proxy.state = LinkState.HEALTHY
    installation.wait_until(lambda: installation.is_ended(job) and installation.is_ended(following))
    assert len(installation.events_of(job, Completed)) == 1
    installation.verify_outcomes()


def test_a_slow_store_makes_dreams_late_and_nothing_else(
    bucket_installation: tuple[FaultInstallation, FaultyProxy],
) -> None:
    installation, proxy = bucket_installation
    proxy.delay = 0.3
    job = installation.submit(5)
    installation.wait_until(lambda: installation.is_ended(job))
    proxy.delay = 0.0
    installation.verify_outcomes()


def test_what_a_wire_bends_is_never_taken_for_the_picture(
    bucket_installation: tuple[FaultInstallation, FaultyProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing without the check of the ETag: the corrupted photo was processed."""
    installation, proxy = bucket_installation
    photo, name = encode_jpeg(make_picture(6)), "photos/bent.jpg"
    installation.store.put(name, photo)
    monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{proxy.port}")
    store_through_proxy = Store(installation.settings.store)
    proxy.state = LinkState.CORRUPTING
    with pytest.raises(StoreError, match="arrives damaged"):
        store_through_proxy.get(name)
    job = installation.submit(7)
    # The proxy corrupts large responses only.
    assert len(installation.store.get(photo_name(job.photo_id)) or b"") > 1000
    installation.wait_until(lambda: "arrives damaged" in installation.log.read_text())
    proxy.state = LinkState.HEALTHY
    assert store_through_proxy.get(name) == photo
    installation.wait_until(lambda: installation.is_ended(job))
    assert installation.store.get(dream_name(job.id))
    installation.verify_outcomes()
