"""Runtime settings of the producer: pausing, and the recipes of new photos."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from producer.ledger import Ledger
from producer.outbox.outbox import Outbox
from producer.recipe_choice import SETTINGS_POLL_INTERVAL_SECONDS, RecipeChoice
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import HeartbeatRegistry
from shared.recipe.painters import DEFAULT_PAINTER_RECIPES
from shared.runtime_settings import update_runtime_settings
from tests.pictures import encode_jpeg, make_picture
from tests.producer.conftest import ProducerThread
from tests.waiting import wait_until


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


def test_where_the_operator_chose_none_every_recipe_of_the_settings_has_its_photos(
    producer_thread: ProducerThread,
) -> None:
    recipe_choice = RecipeChoice(producer_thread.settings, producer_thread.client)
    photos = [hashlib.sha256(bytes([number])).hexdigest() for number in range(200)]
    counts = Counter(recipe_choice.choose_recipe(photo).name for photo in photos)
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
