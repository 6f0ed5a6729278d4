"""`artdream up`: one command runs all components."""

import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGHUP, SIGINT, Signals

import psutil
import pytest
from playwright.sync_api import FilePayload, expect

from shared.settings import BROKER_FILE, Settings
from shared.storage.object_names import clip_name, motion_name
from shared.storage.store import Store
from tests.browser import launch_chromium, new_context
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.producer.decoding.videos import decode_pictures, encode_video, make_moving_pictures
from tests.stack import (
    STACK_TIMEOUT_SECONDS,
    RunningStack,
    free_port,
    run_artdream,
    run_in_process,
    start_artdream,
    write_slowly,
)
from tests.waiting import wait_until

ARTIFACTS_FOLDER = Path(__file__).parents[2] / "artefacts"
REAL_PHOTOS = sorted((Path(__file__).parents[3] / "shared" / "data" / "heic" / "iphone").glob("*"))


@pytest.fixture(scope="module")
def default_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack that was started without options."""
    with RunningStack(tmp_path_factory.mktemp("plain"), clips=True) as stack:
        stack.start()
        yield stack


def test_the_operator_reads_what_runs_where_and_one_line_for_each_dream(default_stack: RunningStack) -> None:
    count_before = len(default_stack.list_completed())
    default_stack.drop_file("line.jpg", encode_jpeg(make_picture(101)))
    default_stack.wait_until(lambda: len(default_stack.list_completed()) > count_before)
    job = default_stack.list_completed()[-1].job_id
    default_stack.wait_until(lambda: f"job {job[:8]}" in default_stack.read_output())
    for text in ("inbox", default_stack.url, "1 process", "more-vincent-van-gogh"):
        assert text in default_stack.read_output()
    [line] = [line for line in default_stack.read_output().splitlines() if f"job {job[:8]}" in line]
    assert all(stage in line for stage in ("dreamt in", "settle", "convert", "queue", "dream", "publish"))
    assert default_stack.stderr_path.read_text() == ""


def test_a_dropped_heic_is_seen_emerging_and_then_beside_its_dream(default_stack: RunningStack) -> None:
    count_before = len(default_stack.list_completed())
    with launch_chromium() as browser:
        page = new_context(browser, 1920, 1080).new_page()
        page.goto(default_stack.url)
        default_stack.drop_file("seen.heic", encode_heic(make_picture(110)))
        frame = page.wait_for_selector("img[data-frame][data-shown-at]", timeout=1000 * STACK_TIMEOUT_SECONDS)
        assert frame is not None
        job = frame.get_attribute("data-job-id")
        page.wait_for_selector(
            f'.dream img[data-job-id="{job}"][data-dream][data-shown-at]', timeout=1000 * STACK_TIMEOUT_SECONDS
        )
        page.wait_for_selector(f'.photo img[data-job-id="{job}"]', timeout=1000 * STACK_TIMEOUT_SECONDS)
        ARTIFACTS_FOLDER.mkdir(exist_ok=True)
        page.screenshot(path=ARTIFACTS_FOLDER / "wall.png")
        default_stack.wait_until(lambda: len(default_stack.list_completed()) == count_before + 1)
        assert default_stack.list_completed()[-1].job_id == job
        page.reload()
        page.wait_for_selector(
            f'.dream img[data-job-id="{job}"][data-dream][data-shown-at]', timeout=1000 * STACK_TIMEOUT_SECONDS
        )


@pytest.mark.slow
def test_a_dropped_video_becomes_a_dream_whose_clip_is_the_dreamt_video(default_stack: RunningStack) -> None:
    count_before = len(default_stack.list_completed())
    default_stack.drop_file("IMG_0001.MOV", encode_video(make_moving_pictures(31), container="mov"))
    default_stack.wait_until(lambda: len(default_stack.list_completed()) > count_before)
    completed = default_stack.list_completed()[-1]
    store = Store((default_stack.data / "store").as_uri())
    default_stack.wait_until(lambda: store.get(clip_name(completed.job_id)) is not None)
    assert store.get(motion_name(completed.photo_id))
    clip = store.get(clip_name(completed.job_id)) or b""
    assert len(decode_pictures(clip)) == 20  # eleven pictures, forth and back


@pytest.mark.slow
def test_a_phone_s_photo_becomes_a_dream_on_the_phone(stack: RunningStack) -> None:
    count_before = len(stack.list_completed())
    assert "no QR codes: phones cannot reach 127.0.0.1" in stack.read_output()
    with launch_chromium() as browser:
        phone = new_context(browser, 390, 844).new_page()
        phone.goto(f"{stack.url}/send")
        photo: FilePayload = {
            "name": "IMG_0001.HEIC",
            "mimeType": "image/heic",
            "buffer": encode_heic(make_picture(77)),
        }
        phone.locator("input[type=file]").set_input_files(photo)
        phone.locator(".recipe", has_text="Curls").click()
        phone.get_by_role("checkbox").check()
        phone.get_by_role("button", name="Send").click()
        phone.wait_for_url(re.compile("/t/"))
        expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible(timeout=1000 * STACK_TIMEOUT_SECONDS)
        expect(phone.get_by_role("heading", name="Curls")).to_be_visible()
        phone.close()
    assert [completed.recipe for completed in stack.list_completed()[count_before:]] == ["curls"]


@pytest.mark.slow
def test_the_same_photo_twice_is_one_dream(stack: RunningStack) -> None:
    photo, count_before = encode_jpeg(make_picture(102)), len(stack.list_completed())
    stack.drop_file("twice.jpg", photo)
    stack.drop_file("twice (1).jpg", photo)
    stack.wait_until(lambda: len(stack.list_completed()) > count_before)
    stack.drop_file("twice (2).jpg", photo)
    stack.drop_file("afterwards.jpg", encode_jpeg(make_picture(103)))
    stack.wait_until(lambda: len(stack.list_completed()) > count_before + 1)
    assert len(stack.list_completed()) == count_before + 2


@pytest.mark.slow
def test_a_slowly_written_photo_is_dreamt_once_it_is_whole(stack: RunningStack) -> None:
    count_before, photo = len(stack.list_completed()), encode_heic(make_picture(111))
    refusals = stack.read_output().count("Rejected")
    write_slowly(stack.inbox / "slow.heic", photo, pause_seconds=2 * Settings.model_fields["settle_seconds"].default)
    stack.wait_until(lambda: len(stack.list_completed()) == count_before + 1)
    assert stack.read_output().count("Rejected") == refusals


@pytest.mark.slow
def test_a_broken_heic_is_set_aside_with_a_reason_and_blocks_nothing(stack: RunningStack) -> None:
    count_before = len(stack.list_completed())
    stack.drop_file("broken.heic", encode_heic(make_picture(104))[:900])
    stack.drop_file("well.heic", encode_heic(make_picture(105)))
    stack.wait_until(lambda: len(stack.list_completed()) > count_before)
    stack.wait_until(lambda: "Rejected: broken.heic is damaged" in stack.read_output())
    assert "Traceback" not in stack.read_output() + stack.stderr_path.read_text()
    completed = run_in_process("status", "--data", str(stack.data), folder=stack.folder)
    assert completed.returncode == 0
    assert "Rejected: broken.heic is damaged" in completed.stdout


@pytest.mark.slow
def test_a_second_up_on_the_same_data_is_refused_in_one_sentence(stack: RunningStack) -> None:
    completed = run_artdream("up", "--data", str(stack.data), folder=stack.folder)
    assert completed.returncode == 1
    assert completed.stderr.count("\n") == 1
    assert "ArtDream is already running on the folder" in completed.stderr


@pytest.mark.slow
def test_send_status_and_doctor_find_the_running_stack(stack: RunningStack) -> None:
    count_before = len(stack.list_completed())
    photo = stack.folder / "elsewhere.png"
    make_picture(106).save(photo)
    send_result = run_artdream("send", str(photo), "--recipe", "lines", folder=stack.folder)
    assert send_result.returncode == 0, send_result.stderr
    stack.wait_until(lambda: len(stack.list_completed()) > count_before)
    assert stack.list_completed()[-1].recipe == "lines"
    assert "worker" in run_in_process("status", folder=stack.folder).stdout
    doctor_result = run_in_process("doctor", folder=stack.folder)
    assert doctor_result.returncode == 0, doctor_result.stdout + doctor_result.stderr
    assert "✗" not in doctor_result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("opened", "signals"), [(os.openpty, [SIGHUP, SIGHUP]), (os.pipe, [SIGINT])])
def test_nothing_is_left_running_when_the_terminal_or_what_reads_the_lines_has_ended(
    tmp_path: Path, opened: Callable[[], tuple[int, int]], signals: list[Signals]
) -> None:
    """A window that is closed, and Ctrl-C for `artdream up | tee`. Seen failing: all processes ran on, unsupervised."""
    (tmp_path / "inbox").mkdir()
    reader, output = opened()
    process = start_artdream(
        *("up", "--port", str(free_port())), folder=tmp_path, stdout=output, stderr=output, start_new_session=True
    )
    os.close(output)
    run_folder = tmp_path / "artdream-data" / "run"
    wait_until(lambda: len(list(run_folder.glob("*.json"))) == 4, "broker, worker, display and producer have started")
    components = psutil.Process(process.pid).children(recursive=True)
    os.close(reader)
    for number in signals:
        process.send_signal(number)
    process.wait(STACK_TIMEOUT_SECONDS)
    assert psutil.wait_procs(components, STACK_TIMEOUT_SECONDS)[1] == []
    assert not (tmp_path / "artdream-data" / BROKER_FILE).exists()


def test_a_port_in_use_is_told_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        completed = run_artdream("up", "--port", str(taken.getsockname()[1]), folder=tmp_path)
    assert completed.returncode == 1
    assert "cannot use port" in completed.stderr
    assert completed.stderr.count("\n") == 1


def test_a_missing_inbox_is_told_in_one_sentence(tmp_path: Path) -> None:
    completed = run_in_process("up", "--inbox", "nowhere", folder=tmp_path)
    assert completed.returncode == 1
    assert completed.stderr == (
        "artdream: The inbox nowhere is not a folder: create it, or name another with --inbox.\n"
    )


@pytest.mark.slow
@pytest.mark.skipif(not REAL_PHOTOS, reason="the real photos are not here")
def test_real_iphone_photos_become_dreams(stack: RunningStack) -> None:
    count_before = len(stack.list_completed())
    for photo in REAL_PHOTOS:
        shutil.copy(photo, stack.inbox)
    stack.wait_until(lambda: len(stack.list_completed()) >= count_before + len(REAL_PHOTOS))
