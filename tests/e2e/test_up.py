"""One command runs everything: what an operator may expect of `artdream up`."""

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.pictures import colours, heic, jpeg
from tests.stack import PATIENCE, Up, artdream

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
REAL_PHOTOS = sorted((Path(__file__).parents[3] / "shared" / "data" / "heic" / "iphone").glob("*"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that was started with nothing said."""
    with Up(tmp_path_factory.mktemp("plain"), clips=True) as up:
        up.start()
        yield up


def test_the_operator_reads_what_runs_where_and_one_line_for_each_dream(plain: Up) -> None:
    before = len(plain.completed())
    plain.drop("line.jpg", jpeg(colours(101)))
    plain.until(lambda: len(plain.completed()) > before)
    job = plain.completed()[-1].job_id
    plain.until(lambda: f"job {job[:8]}" in plain.printed())
    for told in ("inbox", plain.url, "1 process", "more-vincent-van-gogh"):
        assert told in plain.printed()
    [line] = [line for line in plain.printed().splitlines() if f"job {job[:8]}" in line]
    assert all(stage in line for stage in ("dreamt in", "settle", "convert", "queue", "dream", "publish"))
    assert plain.err.read_text() == ""


def test_a_dropped_heic_is_seen_emerging_and_then_beside_its_dream(plain: Up) -> None:
    before = len(plain.completed())
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(plain.url)
        plain.drop("seen.heic", heic(colours(110)))
        frame = page.wait_for_selector("img[data-frame][data-shown-at]", timeout=1000 * PATIENCE)
        assert frame is not None
        job = frame.get_attribute("data-job-id")
        page.wait_for_selector(f'.dream img[data-job-id="{job}"][data-dream][data-shown-at]', timeout=1000 * PATIENCE)
        page.wait_for_selector(f'.photo img[data-job-id="{job}"]', timeout=1000 * PATIENCE)
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / "wall.png")
        plain.until(lambda: len(plain.completed()) == before + 1)
        assert plain.completed()[-1].job_id == job
        page.reload()
        page.wait_for_selector(f'.dream img[data-job-id="{job}"][data-dream][data-shown-at]', timeout=1000 * PATIENCE)


def test_the_same_photo_twice_is_one_dream(up: Up) -> None:
    photo, before = jpeg(colours(102)), len(up.completed())
    up.drop("twice.jpg", photo)
    up.drop("twice (1).jpg", photo)
    up.until(lambda: len(up.completed()) > before)
    up.drop("twice (2).jpg", photo)
    up.drop("afterwards.jpg", jpeg(colours(103)))
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
    up.drop("broken.heic", heic(colours(104))[:900])
    up.drop("well.heic", heic(colours(105)))
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
