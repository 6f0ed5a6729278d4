"""A batch of hundreds is dreamt whole, each photo once, whoever is killed meanwhile."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.broker.client import connect
from shared.jobs.events import Accepted
from shared.jobs.job import State
from shared.jobs.table import JobTable
from shared.settings import BROKER_FILE
from tests.recipes import write_recipe
from tests.stack import Up, artdream

BATCH, DROPPED = 500, 15


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("batch")
    write_recipe(folder, "still", steps=0)  # the way is tested and not the ascent
    with Up(folder, "--recipe", "./still.toml") as up:
        up.start()
        yield up


def photo(path: Path, number: int) -> None:
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((64, 48)).save(path, "JPEG")


def table(up: Up) -> JobTable:
    return JobTable(connect((up.data / BROKER_FILE).read_text()))


def test_a_batch_of_500_is_dreamt_once_each_though_producers_are_killed_again_and_again(up: Up) -> None:
    photos = up.folder / "photos"
    photos.mkdir()
    for number in range(BATCH):
        photo(photos / f"{number}.jpg", number)
    send = ["send", "photos", "--recipe", "./still.toml", "--wait", "--out", "dreams"]
    command = [sys.executable, "-m", "artdream", *send]
    entered = 0
    for turn in range(3):
        sending = subprocess.Popen(command, cwd=up.folder, stdout=subprocess.PIPE)
        for number in range(turn * 5, turn * 5 + 5):
            photo(up.inbox / f"{number}.jpg", BATCH + number)
        wanted = entered + 60
        up.until(lambda wanted=wanted: entered_by(up) >= wanted)
        sending.kill()
        sending.communicate()
        up.kill_part("producer")
        entered = entered_by(up)
    assert entered < BATCH
    sent = artdream(*send, folder=up.folder)
    assert sent.returncode == 0, sent.stderr
    up.until(lambda: len(up.completed()) >= BATCH + DROPPED)
    assert len(list((up.folder / "dreams").iterdir())) == BATCH
    dreamt = Counter(event.job_id for event in up.completed())
    assert len(dreamt) == BATCH + DROPPED
    assert set(dreamt.values()) == {1}
    assert {entry.state for entry in table(up).iter_records()} == {State.COMPLETED}
    again = artdream(*send, folder=up.folder)
    assert f"{BATCH} already known" in again.stdout
    assert len(up.completed()) == BATCH + DROPPED


def entered_by(up: Up) -> int:
    return sum(isinstance(event, Accepted) for event in up.events)


def test_ctrl_c_leaves_the_jobs_running_and_says_how_to_collect_them(up: Up) -> None:
    for number in range(3):
        photo(up.folder / f"{number}.jpg", 10_000 + number)
    command = [sys.executable, "-m", "artdream", "send", "?.jpg", "--recipe", "./still.toml", "--wait"]
    with up.stopped("worker"):  # or it might have dreamt all of them by then
        sending = subprocess.Popen(command, cwd=up.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert sending.stdout is not None
        batch = next(line.split()[1].rstrip(":") for line in sending.stdout if line.startswith("Batch"))
        for _ in range(6):  # one may fall where Python cannot raise it, and whoever sees that presses again
            sending.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                _, told = sending.communicate(timeout=20)
                break
    assert sending.returncode == 1
    assert f"artdream collect {batch} --out FOLDER" in told
    collected = artdream("collect", batch, "--wait", "--out", "three", folder=up.folder)
    assert collected.returncode == 0, collected.stderr
    assert {path.name for path in (up.folder / "three").iterdir()} == {f"{n}-still.jpg" for n in range(3)}


def test_a_cancelled_job_is_not_dreamt_and_the_batch_says_so(up: Up) -> None:
    for number in range(2):
        photo(up.folder / f"c{number}.jpg", 20_000 + number)
    with up.stopped("worker"):
        sent = artdream("send", "c0.jpg", "c1.jpg", "--recipe", "./still.toml", folder=up.folder)
        batch = sent.stdout.split("Batch ")[1].split(":")[0]
        first, second = (line.split("job ")[1].split()[0] for line in sent.stdout.splitlines() if "job " in line)
        assert artdream("jobs", "cancel", second[:10], folder=up.folder).returncode == 0
    collected = artdream("collect", batch, "--wait", "--out", "two", folder=up.folder)
    assert collected.returncode == 1
    assert "c1.jpg (still) was cancelled" in collected.stderr
    assert [path.name for path in (up.folder / "two").iterdir()] == ["c0-still.jpg"]
    refused = artdream("jobs", "cancel", first, folder=up.folder)
    assert f"Job {first[:12]} has ended already: it is completed." in refused.stderr
    assert artdream("jobs", "retry", second, folder=up.folder).returncode == 0
    assert artdream("collect", batch, "--wait", "--out", "two", folder=up.folder).returncode == 0
    shown = artdream("jobs", "show", second, folder=up.folder)
    assert "completed since" in shown.stdout
    assert "still" in shown.stdout
