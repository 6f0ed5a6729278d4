"""The store refuses, is slow, stops in mid-dream or bends what it sends, and every job ends once, as it should."""

from collections.abc import Iterator

import pytest

from shared.jobs.events import Completed, Progress
from shared.storage.object_names import dream_name, photo_name
from shared.storage.store import Store, StoreError
from tests.fault.faulty_proxy import FaultyProxy, LinkState
from tests.fault.installation import FaultInstallation
from tests.pictures import encode_jpeg, make_picture
from tests.servers import S3Server


@pytest.fixture(scope="module")
def bucket_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultInstallation, FaultyProxy]]:
    """An installation whose worker reaches its bucket over a wire."""
    folder = tmp_path_factory.mktemp("cloud")
    server = S3Server(folder / "s3")
    server.start()
    wire = FaultyProxy(server.port)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in server.environment.items():
            environment.setenv(name, value)
        site = FaultInstallation(folder / "site", store_url=server.url)
        near = {"AWS_ENDPOINT": f"http://127.0.0.1:{wire.port}"}
        site.start_worker(environment=near)
        yield site, wire
        site.close()
        wire.close()
        server.stop()


@pytest.mark.parametrize("state", [LinkState.CUT, LinkState.SILENT])
def test_a_store_that_goes_while_a_dream_goes_on_is_waited_for(
    bucket_installation: tuple[FaultInstallation, FaultyProxy], state: LinkState
) -> None:
    site, wire = bucket_installation
    job = site.submit(1 if state is LinkState.CUT else 2, site.long_recipe)
    following = site.submit(3 if state is LinkState.CUT else 4)
    site.wait_until(lambda: bool(site.events_of(job, Progress)))
    wire.state = state
    site.wait_until(lambda: "waiting: " in site.log.read_text())  # to publish
    assert not site.is_ended(job)
    wire.state = LinkState.HEALTHY
    site.wait_until(lambda: site.is_ended(job) and site.is_ended(following))
    assert len(site.events_of(job, Completed)) == 1
    site.log.write_text("")
    site.verify_outcomes()


def test_a_slow_store_makes_dreams_late_and_nothing_else(
    bucket_installation: tuple[FaultInstallation, FaultyProxy],
) -> None:
    site, wire = bucket_installation
    wire.delay = 0.3
    job = site.submit(5)
    site.wait_until(lambda: site.is_ended(job))
    wire.delay = 0.0
    site.verify_outcomes()


def test_what_a_wire_bends_is_never_taken_for_the_picture(
    bucket_installation: tuple[FaultInstallation, FaultyProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing without the look at the tag: the bent photo was dreamt."""
    site, wire = bucket_installation
    photo, name = encode_jpeg(make_picture(6)), "photos/bent.jpg"
    site.store.put(name, photo)
    monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{wire.port}")
    bent = Store(site.settings.store)
    wire.state = LinkState.CORRUPTING
    with pytest.raises(StoreError, match="arrives damaged"):
        bent.get(name)
    job = site.submit(7)
    assert len(site.store.get(photo_name(job.photo_id)) or b"") > 1000  # the wire bends large answers only
    site.wait_until(lambda: "arrives damaged" in site.log.read_text())
    wire.state = LinkState.HEALTHY
    assert bent.get(name) == photo
    site.wait_until(lambda: site.is_ended(job))
    assert site.store.get(dream_name(job.id))
    site.verify_outcomes()
