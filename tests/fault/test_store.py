"""The store refuses, is slow, stops in mid-dream or bends what it sends, and every job ends once, as it should."""

from collections.abc import Iterator

import pytest

from shared.jobs.events import Completed, Progress
from shared.storage.object_names import dream_name, photo_name
from shared.storage.store import Store, StoreError
from tests.fault.faulty_proxy import State, Wire
from tests.fault.installation import Site
from tests.pictures import colours, jpeg
from tests.servers import S3Server


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Wire]]:
    """An installation whose worker reaches its bucket over a wire."""
    folder = tmp_path_factory.mktemp("cloud")
    server = S3Server(folder / "s3")
    server.start()
    wire = Wire(server.port)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in server.environment.items():
            environment.setenv(name, value)
        site = Site(folder / "site", store_url=server.url)
        near = {"AWS_ENDPOINT": f"http://127.0.0.1:{wire.port}"}
        site.start_worker(environment=near)
        yield site, wire
        site.close()
        wire.close()
        server.stop()


@pytest.mark.parametrize("state", [State.CUT, State.SILENT])
def test_a_store_that_goes_while_a_dream_goes_on_is_waited_for(cloud: tuple[Site, Wire], state: State) -> None:
    site, wire = cloud
    job = site.submit(1 if state is State.CUT else 2, site.long)
    following = site.submit(3 if state is State.CUT else 4)
    site.until(lambda: bool(site.of(job, Progress)))
    wire.state = state
    site.until(lambda: "waiting: " in site.log.read_text())  # to publish
    assert not site.ended(job)
    wire.state = State.WHOLE
    site.until(lambda: site.ended(job) and site.ended(following))
    assert len(site.of(job, Completed)) == 1
    site.log.write_text("")
    site.verify()


def test_a_slow_store_makes_dreams_late_and_nothing_else(cloud: tuple[Site, Wire]) -> None:
    site, wire = cloud
    wire.delay = 0.3
    job = site.submit(5)
    site.until(lambda: site.ended(job))
    wire.delay = 0.0
    site.verify()


def test_what_a_wire_bends_is_never_taken_for_the_picture(
    cloud: tuple[Site, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing without the look at the tag: the bent photo was dreamt."""
    site, wire = cloud
    photo, name = jpeg(colours(6)), "photos/bent.jpg"
    site.store.put(name, photo)
    monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{wire.port}")
    bent = Store(site.settings.store)
    wire.state = State.BENT
    with pytest.raises(StoreError, match="arrives damaged"):
        bent.get(name)
    job = site.submit(7)
    assert len(site.store.get(photo_name(job.photo_id)) or b"") > 1000  # the wire bends large answers only
    site.until(lambda: "arrives damaged" in site.log.read_text())
    wire.state = State.WHOLE
    assert bent.get(name) == photo
    site.until(lambda: site.ended(job))
    assert site.store.get(dream_name(job.id))
    site.verify()
