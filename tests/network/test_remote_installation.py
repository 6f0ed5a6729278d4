"""The dreams are far away: only SSH leads there, over a slow link that loses packets and breaks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser import chromium
from tests.network.emulated_link import Line
from tests.network.remote_installation import WALL, Venue
from tests.pictures import colours, heic
from tests.servers import require_sshd

#: A venue's own line: 40 ms there and back, 20 Mbit/s up, one packet of a hundred lost each way.
LINE = Line()

#: Photos of a burst, and seconds for which the link is gone in the middle of it. `make bench-link` cuts it for 60.
BURST, CUT = 6, 20


#: What works on the VM, by the kind of store. The one that sleeps has no network to load, and leaves work to others.
WORKERS = {"s3": ("-m", "artdream", "worker"), "sftp": ("-m", "benchmarks.scale", "--work", "1")}

#: A bucket that every machine reaches, or a folder of the VM.
BOTH = pytest.mark.parametrize("venue", ["s3", "sftp"], indirect=True)
BARE = pytest.mark.parametrize("venue", ["sftp"], indirect=True)


@pytest.fixture(scope="module")
def venue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """A venue with a kind of store: all started, the worker warm."""
    require_sshd()
    with Venue(tmp_path_factory.mktemp("venue"), LINE, request.param) as made:
        made.start(WORKERS[request.param])
        yield made


@pytest.fixture(scope="module")
def wall(venue: Venue) -> Iterator[Page]:
    """The wall, in a browser on the Mac."""
    with chromium(venue.mac.door) as browser:
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(WALL)
        yield page


@BOTH
def test_a_photo_dropped_on_the_mac_is_dreamt_far_away_and_shown_on_the_mac(venue: Venue, wall: Page) -> None:
    assert not venue.mac.answers(6379, venue.address), "only SSH leads to the broker"
    venue.drop(1)
    venue.until(lambda: len(venue.completed()) == 1, "the dream is there")
    _shown(venue, wall)
    venue.verify(1)


@BARE
def test_a_burst_in_which_the_link_is_cut_loses_nothing_and_the_wall_recovers(venue: Venue, wall: Page) -> None:
    before = len(venue.completed())
    for number in range(BURST):
        if number == BURST // 3:
            venue.link.cut()
        venue.drop(100 + number)
    with pytest.raises(AssertionError, match="not in"):
        venue.until(lambda: len(venue.completed()) == before + BURST, "the dreams are there", CUT)
    wall.wait_for_selector(".reconnecting:visible")
    venue.link.mend()
    venue.until(lambda: len(venue.completed()) == before + BURST, "the dreams are there")
    _shown(venue, wall)
    wall.wait_for_selector(".reconnecting", state="hidden")
    venue.verify(before + BURST)


@BARE
def test_a_batch_that_the_mac_sends_comes_back_as_files(venue: Venue, tmp_path: Path) -> None:
    before = len(venue.completed())
    photos, dreams = tmp_path / "photos", tmp_path / "dreams"
    photos.mkdir()
    for number in range(3):
        (photos / f"IMG_{number}.heic").write_bytes(heic(colours(150 + number)))
    sent = venue.send(str(photos), "--wait", "--out", str(dreams))
    venue.until(lambda: sent.poll() is not None, "the batch is done")
    assert sent.returncode == 0, venue.log.read_text()[-3000:]
    assert {path.name for path in dreams.iterdir()} == {f"IMG_{number}-sketch.jpg" for number in range(3)}
    venue.until(lambda: len(venue.completed()) == before + 3, "they are told")
    venue.verify(before + 3)


@BARE
def test_a_second_gpu_that_joins_later_takes_jobs(venue: Venue, wall: Page) -> None:
    before = len(venue.completed())
    gpu = venue.start_far_worker()
    due = before
    while not gpu <= {event.worker for event in venue.started()}:  # photos may come too slowly for two to be busy
        assert due < before + 5 * BURST, "it takes none"
        for number in range(due, due + BURST):
            venue.drop(200 + number)
        due += BURST
        venue.until(lambda due=due: len(venue.completed()) == due, "the dreams are there")
    _shown(venue, wall)
    venue.verify(due)


def _shown(venue: Venue, wall: Page) -> None:
    """Require that every dream hangs on the wall, and the last of them large."""
    for event in venue.completed():
        wall.wait_for_selector(f'.strip img[data-dream][data-job-id="{event.job_id}"]', state="attached")
    last = venue.completed()[-1].job_id
    wall.wait_for_selector(f'.dream img[data-dream][data-job-id="{last}"][data-shown-at]')
