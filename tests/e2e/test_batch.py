"""A batch of hundreds: each photo is processed once, even if producers are killed."""

import signal
import subprocess
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
from tests.stack import RunningStack, run_artdream, run_in_process, start_artdream

BATCH_SIZE, DROPPED_COUNT = 500, 15


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("batch")
    write_recipe(folder, "still", steps=0)  # no gradient ascent: only the pipeline is tested
    with RunningStack(folder, "--recipe", "./still.toml") as stack:
        stack.start()
        yield stack


def write_photo(path: Path, number: int) -> None:
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((64, 48)).save(path, "JPEG")


def connect_table(stack: RunningStack) -> JobTable:
    return JobTable(connect((stack.data / BROKER_FILE).read_text()))


@pytest.mark.slow
def test_a_batch_of_500_is_dreamt_once_each_though_producers_are_killed_again_and_again(stack: RunningStack) -> None:
    photos = stack.folder / "photos"
    photos.mkdir()
    completed_before = len(stack.list_completed())
    for number in range(BATCH_SIZE):
        write_photo(photos / f"{number}.jpg", number)
    send = ["send", "photos", "--recipe", "./still.toml", "--wait", "--out", "dreams"]
    first_accepted_count = accepted_count = count_accepted(stack)
    for round_number in range(3):
        sending = start_artdream(*send, folder=stack.folder, stdout=subprocess.PIPE)
        for number in range(round_number * 5, round_number * 5 + 5):
            write_photo(stack.inbox / f"{number}.jpg", BATCH_SIZE + number)
        target = accepted_count + 60
        stack.wait_until(lambda target=target: count_accepted(stack) >= target)  # type: ignore[misc]
        sending.kill()
        sending.communicate()
        stack.kill_component("producer")
        accepted_count = count_accepted(stack)
    assert accepted_count < first_accepted_count + BATCH_SIZE
    completed = run_artdream(*send, folder=stack.folder)
    assert completed.returncode == 0, completed.stderr
    expected_count = completed_before + BATCH_SIZE + DROPPED_COUNT
    stack.wait_until(lambda: len(stack.list_completed()) >= expected_count)
    assert len(list((stack.folder / "dreams").iterdir())) == BATCH_SIZE
    completed_counts = Counter(event.job_id for event in stack.list_completed())
    assert len(completed_counts) == expected_count
    assert set(completed_counts.values()) == {1}
    assert {entry.state for entry in connect_table(stack).iter_records()} == {State.COMPLETED}
    repeated = run_artdream(*send, folder=stack.folder)
    assert f"{BATCH_SIZE} already known" in repeated.stdout
    assert len(stack.list_completed()) == expected_count


def count_accepted(stack: RunningStack) -> int:
    return sum(isinstance(event, Accepted) for event in stack.events)


@pytest.mark.slow
def test_ctrl_c_leaves_the_jobs_running_and_says_how_to_collect_them(stack: RunningStack) -> None:
    for number in range(3):
        write_photo(stack.folder / f"{number}.jpg", 10_000 + number)
    send = ["send", "?.jpg", "--recipe", "./still.toml", "--wait"]
    with stack.suspend_component("worker"):  # otherwise all jobs might be completed by then
        sending = start_artdream(
            *send,
            folder=stack.folder,
            environment={"PYTHONFAULTHANDLER": "1"},  # SIGABRT prints the stacks
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert sending.stdout is not None
        batch = next(line.split()[1].rstrip(":") for line in sending.stdout if line.startswith("Batch"))
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGABRT):
            # One signal may come where Python cannot raise it; an operator presses Ctrl-C again.
            sending.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                _, stderr = sending.communicate(timeout=60)
                break
    assert sending.returncode == 130, stderr
    assert f"artdream collect {batch} --out FOLDER" in stderr
    collected = run_artdream("collect", batch, "--wait", "--out", "three", folder=stack.folder)
    assert collected.returncode == 0, collected.stderr
    assert {path.name for path in (stack.folder / "three").iterdir()} == {f"{n}-still.jpg" for n in range(3)}


@pytest.mark.slow
def test_a_cancelled_job_is_not_dreamt_and_the_batch_says_so(stack: RunningStack) -> None:
    for number in range(2):
        write_photo(stack.folder / f"c{number}.jpg", 20_000 + number)
    with stack.suspend_component("worker"):
        completed = run_artdream("send", "c0.jpg", "c1.jpg", "--recipe", "./still.toml", folder=stack.folder)
        batch = completed.stdout.split("Batch ")[1].split(":")[0]
        first, second = (line.split("job ")[1].split()[0] for line in completed.stdout.splitlines() if "job " in line)
        assert run_in_process("jobs", "cancel", second[:10], folder=stack.folder).returncode == 0
    collected = run_artdream("collect", batch, "--wait", "--out", "two", folder=stack.folder)
    assert collected.returncode == 1
    assert "c1.jpg (still) was cancelled" in collected.stderr
    assert [path.name for path in (stack.folder / "two").iterdir()] == ["c0-still.jpg"]
    refused = run_in_process("jobs", "cancel", first, folder=stack.folder)
    assert f"Job {first[:12]} has ended already: it is completed." in refused.stderr
    assert run_in_process("jobs", "retry", second, folder=stack.folder).returncode == 0
    assert run_artdream("collect", batch, "--wait", "--out", "two", folder=stack.folder).returncode == 0
    job_details = run_in_process("jobs", "show", second, folder=stack.folder)
    assert "completed since" in job_details.stdout
    assert "still" in job_details.stdout
