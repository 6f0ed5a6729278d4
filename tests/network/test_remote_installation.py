"""A remote installation: the VM is reached through SSH only, over a slow link that loses packets and breaks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser import launch_chromium, new_context
from tests.network.emulated_link import LinkProfile
from tests.network.remote_installation import WALL_URL, RemoteInstallation
from tests.pictures import encode_heic, make_picture
from tests.servers import require_sshd

pytestmark = pytest.mark.slow

#: The link of a venue: 40 ms round trip, 20 Mbit/s up, 1 % of the packets lost in each direction.
LINK_PROFILE = LinkProfile()

#: Photos of a burst, during which the link is cut until the wall says so. `make bench-link` cuts it for 60 s.
BURST_SIZE = 6

#: The store is a bucket that every machine can connect to, or a folder of the VM.
BOTH_STORES = pytest.mark.parametrize("installation", ["s3", "sftp"], indirect=True)
SFTP_ONLY = pytest.mark.parametrize("installation", ["sftp"], indirect=True)


@pytest.fixture(scope="module")
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RemoteInstallation]:
    """A running remote installation with a kind of store; its worker is ready."""
    require_sshd()
    with RemoteInstallation(tmp_path_factory.mktemp("venue"), LINK_PROFILE, request.param) as remote_installation:
        remote_installation.start()
        yield remote_installation


@pytest.fixture(scope="module")
def wall(installation: RemoteInstallation) -> Iterator[Page]:
    """The wall in a browser on the Mac."""
    with launch_chromium(installation.mac.command_prefix) as browser:
        page = new_context(browser, 1920, 1080).new_page()
        page.goto(WALL_URL)
        yield page


@BOTH_STORES
def test_a_photo_dropped_on_the_mac_is_dreamt_far_away_and_shown_on_the_mac(
    installation: RemoteInstallation, wall: Page
) -> None:
    assert not installation.mac.is_listening(6379, installation.address), "the broker is reachable through SSH only"
    count_before = len(installation.list_completed())
    installation.drop_photo(1)
    installation.wait_until(lambda: len(installation.list_completed()) == count_before + 1, "the dream is there")
    _require_shown(installation, wall)
    installation.verify_outcomes(count_before + 1)


@SFTP_ONLY
def test_a_burst_in_which_the_link_is_cut_loses_nothing_and_the_wall_recovers(
    installation: RemoteInstallation, wall: Page
) -> None:
    count_before = len(installation.list_completed())
    for number in range(BURST_SIZE):
        if number == BURST_SIZE // 3:
            installation.link.cut()
        installation.drop_photo(100 + number)
    wall.wait_for_selector(".reconnecting:visible")
    installation.wait_until(lambda: "Photos wait in the spool" in installation.log.read_text(), "the producer notices")
    assert len(installation.list_completed()) < count_before + BURST_SIZE
    installation.link.restore()
    installation.wait_until(
        lambda: len(installation.list_completed()) == count_before + BURST_SIZE, "the dreams are there"
    )
    _require_shown(installation, wall)
    wall.wait_for_selector(".reconnecting", state="hidden")
    installation.verify_outcomes(count_before + BURST_SIZE)


@SFTP_ONLY
def test_a_batch_that_the_mac_sends_comes_back_as_files(installation: RemoteInstallation, tmp_path: Path) -> None:
    count_before = len(installation.list_completed())
    photos, dreams = tmp_path / "photos", tmp_path / "dreams"
    photos.mkdir()
    for number in range(3):
        (photos / f"IMG_{number}.heic").write_bytes(encode_heic(make_picture(150 + number)))
    sending = installation.run_send(str(photos), "--wait", "--out", str(dreams))
    installation.wait_until(lambda: sending.poll() is not None, "the batch is done")
    assert sending.returncode == 0, installation.log.read_text()[-3000:]
    assert {path.name for path in dreams.iterdir()} == {f"IMG_{number}-sketch.jpg" for number in range(3)}
    installation.wait_until(lambda: len(installation.list_completed()) == count_before + 3, "the events are read")
    installation.verify_outcomes(count_before + 3)


@SFTP_ONLY
def test_a_second_gpu_that_joins_later_takes_jobs(installation: RemoteInstallation, wall: Page) -> None:
    count_before = len(installation.list_completed())
    gpu_processes = installation.start_remote_worker()
    photo_count = count_before
    # Photos may arrive too slowly to keep two workers busy.
    while not gpu_processes <= {event.worker for event in installation.list_started()}:
        assert photo_count < count_before + 5 * BURST_SIZE, "the second worker takes no job"
        for number in range(photo_count, photo_count + BURST_SIZE):
            installation.drop_photo(200 + number)
        photo_count += BURST_SIZE
        installation.wait_until(
            lambda photo_count=photo_count: len(installation.list_completed()) == photo_count,  # type: ignore[misc]
            "the dreams are there",
        )
    _require_shown(installation, wall)
    installation.verify_outcomes(photo_count)


def _require_shown(installation: RemoteInstallation, wall: Page) -> None:
    """Wait until the wall shows every dream in its strip, and the latest as the main picture."""
    for event in installation.list_completed():
        wall.wait_for_selector(f'.strip img[data-dream][data-job-id="{event.job_id}"]', state="attached")
    last_job_id = installation.list_completed()[-1].job_id
    wall.wait_for_selector(f'.dream img[data-dream][data-job-id="{last_job_id}"][data-shown-at]')
