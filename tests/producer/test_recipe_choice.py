"""Runtime settings of the producer: pausing, and the recipes of new photos."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import redis

import producer.recipe_choice as recipe_choice_module
from producer.ledger import Ledger
from producer.outbox.outbox import Outbox
from producer.recipe_choice import SETTINGS_POLL_INTERVAL_SECONDS, RecipeChoice
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import HeartbeatRegistry
from shared.recipe.canary import Canary
from shared.recipe.painters import DEFAULT_PAINTER_RECIPES
from shared.recipe.recipe import load_recipe
from shared.runtime_settings import find_runtime_settings, update_runtime_settings
from shared.settings import Settings
from tests.pictures import encode_jpeg, make_picture
from tests.producer.conftest import ProducerThread
from tests.waiting import delayed, wait_until


def count_spooled(data: Path) -> int:
    ledger = Ledger(data)
    count = len(Outbox(ledger))
    ledger.close()
    return count


def test_paused_submission_keeps_photos_and_sends_them_when_it_resumes(producer_thread: ProducerThread) -> None:
    update_runtime_settings(producer_thread.client, paused=True)
    producer_thread.start()
    wait_until(
        lambda: (
            [heartbeat.state for heartbeat in HeartbeatRegistry(producer_thread.client).list_heartbeats()] == ["paused"]
        )
    )
    (producer_thread.inbox / "one.jpg").write_bytes(encode_jpeg(make_picture(1)))
    wait_until(lambda: count_spooled(producer_thread.settings.data) == 1)
    producer_thread._thread.join(2 * SETTINGS_POLL_INTERVAL_SECONDS)  # the paused producer polls at least once
    assert producer_thread.count_waiting() == 0
    update_runtime_settings(producer_thread.client, paused=False)
    wait_until(lambda: producer_thread.count_waiting() == 1)


def read_recipes(producer_thread: ProducerThread) -> dict[str, str]:
    """Return the recipe names of queued photos, by photo id."""
    table = JobTable(producer_thread.client)
    jobs = [table.get_job(job_id) for job_id in producer_thread.count_queued_jobs()]
    return {job.photo_id: job.recipe.name for job in jobs if job}


def test_every_recipe_that_the_operator_chose_has_its_photos(producer_thread: ProducerThread) -> None:
    update_runtime_settings(producer_thread.client, recipes=("lines", "peacock"))
    producer_thread.start()
    for number in range(12):
        (producer_thread.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
    wait_until(lambda: producer_thread.count_waiting() == 12)
    producer_thread.stop()
    assert set(read_recipes(producer_thread).values()) == {"lines", "peacock"}


def test_a_photo_that_is_there_at_the_start_has_a_recipe_that_the_operator_chose(
    producer_thread: ProducerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing on a busy machine: the photo was decoded before the broker had answered."""
    monkeypatch.setattr(recipe_choice_module, "find_runtime_settings", delayed(find_runtime_settings, 1.0))
    update_runtime_settings(producer_thread.client, recipes=("lines",))
    (producer_thread.inbox / "one.jpg").write_bytes(encode_jpeg(make_picture(1)))
    producer_thread.start()
    wait_until(lambda: producer_thread.count_waiting() == 1)
    producer_thread.stop()
    assert list(read_recipes(producer_thread).values()) == ["lines"]


def test_where_the_operator_chose_none_every_recipe_of_the_settings_has_its_photos(
    producer_thread: ProducerThread,
) -> None:
    recipe_choice = RecipeChoice(producer_thread.settings, producer_thread.client)
    recipe_choice.refresh()
    photos = [hashlib.sha256(bytes([number])).hexdigest() for number in range(200)]
    counts = Counter(recipe_choice.choose_recipe(photo).recipe.name for photo in photos)
    assert set(counts) == set(DEFAULT_PAINTER_RECIPES)
    assert min(counts.values()) > 20  # 40 each on average


def test_a_photo_has_the_same_recipe_whenever_it_comes(producer_thread: ProducerThread) -> None:
    producer_thread.start()
    for number in range(6):
        (producer_thread.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
    wait_until(lambda: producer_thread.count_waiting() == 6)
    producer_thread.stop()
    for number in reversed(range(6)):
        (producer_thread.inbox / f"{number} again.jpg").write_bytes(encode_jpeg(make_picture(number)))
    (producer_thread.inbox / "new.jpg").write_bytes(encode_jpeg(make_picture(6)))
    producer_thread.start()
    wait_until(lambda: producer_thread.count_waiting() == 7)
    producer_thread.stop()
    assert len(read_recipes(producer_thread)) == len(producer_thread.count_queued_jobs()) == 7


def test_a_recipe_that_this_producer_does_not_know_is_left_out(
    producer_thread: ProducerThread, caplog: pytest.LogCaptureFixture
) -> None:
    update_runtime_settings(producer_thread.client, recipes=("of a later version",))
    producer_thread.start()
    (producer_thread.inbox / "one.jpg").write_bytes(encode_jpeg(make_picture(1)))
    wait_until(lambda: producer_thread.count_waiting() == 1)
    producer_thread.stop()
    assert set(read_recipes(producer_thread).values()) < set(producer_thread.settings.recipes)
    assert "of a later version" in caplog.text


def test_a_photo_keeps_its_version_of_a_recipe_when_it_comes_again_and_to_another_producer(
    producer_thread: ProducerThread, tmp_path: Path
) -> None:
    current = load_recipe("lines")
    candidate = current.model_copy(update={"version": current.version + 1})
    canary = Canary(candidate=candidate, percent=50)
    update_runtime_settings(producer_thread.client, recipes=("lines",), canary=canary)
    photos = [encode_jpeg(make_picture(number)) for number in range(8)]
    for number, photo in enumerate(photos):
        (producer_thread.inbox / f"{number}.jpg").write_bytes(photo)
    producer_thread.start()
    wait_until(lambda: producer_thread.count_waiting() == 8)
    producer_thread.stop()
    other = ProducerThread(producer_thread.settings, producer_thread.client)
    other.settings = producer_thread.settings.model_copy(update={"data": tmp_path / "other-data"})
    for number, photo in enumerate(reversed(photos)):
        (producer_thread.inbox / f"{number} again.jpg").write_bytes(photo)
    (producer_thread.inbox / "new.jpg").write_bytes(encode_jpeg(make_picture(8)))
    other.start()
    wait_until(lambda: producer_thread.count_waiting() == 9)
    other.stop()
    table = JobTable(producer_thread.client)
    jobs = list(filter(None, map(table.get_job, producer_thread.count_queued_jobs())))
    assert len(jobs) == 9
    assert {job.recipe.version for job in jobs} == {1, 2}
    for job in jobs:
        assert (job.recipe, job.comparison) == canary.assign(current, job.photo_id)


@pytest.mark.slow
def test_a_killed_producer_gives_no_photo_the_other_version(
    settings: Settings, client: redis.Redis, producer_thread: ProducerThread
) -> None:
    """Killed again and again while photos come in; the outbox, the broker and the assignment say the same."""
    current = load_recipe("lines")
    canary = Canary(candidate=current.model_copy(update={"version": current.version + 1}), percent=50)
    update_runtime_settings(client, recipes=("lines",), canary=canary)
    for number in range(12):
        (settings.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
    command = [sys.executable, "-m", "artdream", "watch"]
    queued = 0
    for _ in range(3):
        producer = subprocess.Popen(command, env={**os.environ, **settings.to_environment()})
        wait_until(lambda count=queued: producer_thread.count_waiting() > count)  # type: ignore[misc]
        producer.kill()
        producer.wait()
        queued = producer_thread.count_waiting()
        if queued == 12:
            break
    producer_thread.start()
    wait_until(lambda: producer_thread.count_waiting() == 12)
    producer_thread.stop()
    table = JobTable(client)
    jobs = list(filter(None, map(table.get_job, producer_thread.count_queued_jobs())))
    assert len(jobs) == len({job.photo_id for job in jobs}) == 12
    assert all((job.recipe, job.comparison) == canary.assign(current, job.photo_id) for job in jobs)
