"""One command runs everything: what an operator may expect of `artdream up`."""

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.pictures import colours, heic, jpeg
from tests.stack import Up, artdream

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
REAL_PHOTOS = sorted((Path(__file__).parents[3] / "shared" / "data" / "heic" / "iphone").glob("*"))


@pytest.fixture(scope="module")
def _up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("up"))
    yield up
    if up.running:
        up.interrupt()


@pytest.fixture
def up(_up: Up) -> Up:
    """A running, warm stack."""
    if not _up.running:
        _up.start()
    return _up


def drop(up: Up, name: str, data: bytes) -> None:
    """AirDrop: the file appears whole, under its name."""
    hidden = up.inbox / f".{name}"
    hidden.write_bytes(data)
    hidden.rename(up.inbox / name)


def test_the_operator_reads_what_runs_where_and_one_line_for_each_dream(up: Up) -> None:
    before = len(up.completed())
    drop(up, "line.jpg", jpeg(colours(101)))
    up.until(lambda: len(up.completed()) > before)
    job = up.completed()[-1].job_id
    up.until(lambda: f"job {job[:8]}" in up.printed())
    for told in ("inbox", up.url, "1 process", "more-vincent-van-gogh"):
        assert told in up.printed()
    [line] = [line for line in up.printed().splitlines() if f"job {job[:8]}" in line]
    assert all(stage in line for stage in ("dreamt in", "settle", "convert", "queue", "dream", "publish"))
    assert up.err.read_text() == ""


def test_a_dropped_heic_is_seen_emerging_and_then_beside_its_dream(up: Up) -> None:
    before = len(up.completed())
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(up.url)
        drop(up, "seen.heic", heic(colours(110)))
        frame = page.wait_for_selector("img[data-frame][data-shown-at]", timeout=60_000)
        assert frame is not None
        job = frame.get_attribute("data-job-id")
        page.wait_for_selector(f'.dream img[data-job-id="{job}"][data-dream][data-shown-at]', timeout=60_000)
        page.wait_for_selector(f'.photo img[data-job-id="{job}"]', timeout=60_000)
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / "wall.png")
        up.until(lambda: len(up.completed()) == before + 1)
        assert up.completed()[-1].job_id == job
        page.reload()
        page.wait_for_selector(f'.dream img[data-job-id="{job}"][data-dream][data-shown-at]', timeout=60_000)


def test_the_same_photo_twice_is_one_dream(up: Up) -> None:
    photo, before = jpeg(colours(102)), len(up.completed())
    drop(up, "twice.jpg", photo)
    drop(up, "twice (1).jpg", photo)
    up.until(lambda: len(up.completed()) > before)
    drop(up, "twice (2).jpg", photo)
    drop(up, "afterwards.jpg", jpeg(colours(103)))
    up.until(lambda: len(up.completed()) > before + 1)
    assert len(up.completed()) == before + 2


def test_a_slowly_written_photo_is_dreamt_once_it_is_whole(up: Up) -> None:
    before, photo = len(up.completed()), heic(colours(111))
    refusals = up.printed().count("Set aside")
    with (up.inbox / "slow.heic").open("wb", buffering=0) as file:
        for start in range(0, len(photo), len(photo) // 5):
            file.write(photo[start : start + len(photo) // 5])
            time.sleep(0.6)  # the pause of a slow copy: longer than a whole file stands still
    up.until(lambda: len(up.completed()) == before + 1)
    assert up.printed().count("Set aside") == refusals


def test_a_broken_heic_is_set_aside_with_a_reason_and_blocks_nothing(up: Up) -> None:
    before = len(up.completed())
    drop(up, "broken.heic", heic(colours(104))[:900])
    drop(up, "well.heic", heic(colours(105)))
    up.until(lambda: len(up.completed()) > before)
    up.until(lambda: "Set aside: broken.heic is damaged" in up.printed())
    assert "Traceback" not in up.printed() + up.err.read_text()
    shown = artdream("status", "--data", str(up.data), folder=up.folder)
    assert shown.returncode == 0
    assert "Set aside: broken.heic is damaged" in shown.stdout


def test_a_second_up_on_the_same_data_is_refused_in_one_sentence(up: Up) -> None:
    second = artdream("up", "--data", str(up.data), folder=up.folder)
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert "An ArtDream already runs on the folder" in second.stderr


def test_send_status_and_doctor_find_the_running_stack(up: Up) -> None:
    before = len(up.completed())
    photo = up.folder / "elsewhere.png"
    colours(106).save(photo)
    sent = artdream("send", str(photo), "--recipe", "lines", folder=up.folder)
    assert sent.returncode == 0, sent.stderr
    up.until(lambda: len(up.completed()) > before)
    assert up.completed()[-1].recipe == "lines"
    assert "worker" in artdream("status", folder=up.folder).stdout
    examined = artdream("doctor", folder=up.folder)
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert "✗" not in examined.stdout


def test_ctrl_c_leaves_nothing_behind_and_the_next_start_goes_on_with_what_waited(up: Up) -> None:
    before = len(up.completed())
    assert up.interrupt() == 0
    assert up.left_behind() == []
    assert "Stopped" in up.printed()
    assert artdream("status", folder=up.folder).returncode == 1

    up.start(warm=False)
    drop(up, "waits.jpg", jpeg(colours(107)))
    up.until(lambda: any(event.type == "queued" for event in up.events[-1:]))
    assert up.interrupt() == 0  # before the worker was warm
    assert up.left_behind() == []

    up.start()
    up.until(lambda: len(up.completed()) == before + 1)
    assert up.err.read_text() == ""


def test_after_a_kill_the_next_start_ends_what_was_left_and_goes_on(up: Up) -> None:
    before = len(up.completed())
    up.kill()
    drop(up, "meanwhile.jpg", jpeg(colours(108)))
    up.start()
    assert "Ended what an earlier run left behind" in up.printed()
    up.until(lambda: len(up.completed()) == before + 1)


def test_after_a_power_cut_the_next_start_goes_on_and_says_warm_only_when_it_is(up: Up) -> None:
    before, log = len(up.completed()), up.data / "logs" / "worker.log"
    up.kill_all()
    drop(up, "dark.jpg", jpeg(colours(109)))
    warm = log.read_text().count("is warm after")
    up.start()
    assert log.read_text().count("is warm after") == warm + 1
    up.until(lambda: len(up.completed()) == before + 1)


@pytest.mark.parametrize(("part", "seed"), [("worker", 121), ("producer", 122), ("display", 123), ("broker", 124)])
def test_a_part_that_is_killed_is_started_again_and_the_operator_told(up: Up, part: str, seed: int) -> None:
    before = len(up.completed())
    up.kill_part(part)
    drop(up, f"{part}.jpg", jpeg(colours(seed)))
    up.until(lambda: f"The {part} ended by itself (signal SIGKILL)" in up.printed())
    up.until(lambda: len(up.completed()) == before + 1)
    up.until(lambda: up.answers())


def test_a_port_in_use_is_told_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = artdream("up", "--port", str(taken.getsockname()[1]), folder=tmp_path)
    assert ended.returncode == 1
    assert "cannot use port" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_missing_inbox_is_told_in_one_sentence(tmp_path: Path) -> None:
    ended = artdream("up", "--inbox", "nowhere", folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == ("artdream: The inbox nowhere is not a folder: create it, or name another with --inbox.\n")


@pytest.mark.skipif(not REAL_PHOTOS, reason="the real photos are not here")
def test_real_iphone_photos_become_dreams(up: Up) -> None:
    before = len(up.completed())
    for photo in REAL_PHOTOS:
        shutil.copy(photo, up.inbox)
    up.until(lambda: len(up.completed()) >= before + len(REAL_PHOTOS))
