"""The operator pauses the intake and chooses what photos are dreamt with, while it runs."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from producer.outbox.ledger import Ledger
from producer.outbox.outbox import Outbox
from producer.recipe_choice import SETTINGS_POLL_INTERVAL_SECONDS, RecipeChoice
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import HeartbeatRegistry
from shared.recipe.painters import DEFAULT_PAINTER_RECIPES
from shared.runtime_settings import update_runtime_settings
from tests.pictures import colours, jpeg
from tests.producer.conftest import Watching, until


def spooled(data: Path) -> int:
    ledger = Ledger(data)
    count = len(Outbox(ledger))
    ledger.close()
    return count


def test_a_paused_intake_keeps_photos_and_sends_them_when_it_is_opened(watching: Watching) -> None:
    update_runtime_settings(watching.client, paused=True)
    watching.start()
    until(lambda: [one.state for one in HeartbeatRegistry(watching.client).list_heartbeats()] == ["paused"])
    (watching.inbox / "one.jpg").write_bytes(jpeg(colours(1)))
    until(lambda: spooled(watching.settings.data) == 1)
    watching._thread.join(2 * SETTINGS_POLL_INTERVAL_SECONDS)  # time passes; nothing may happen
    assert watching.waiting() == 0
    update_runtime_settings(watching.client, paused=False)
    until(lambda: watching.waiting() == 1)


def dreamt_as(watching: Watching) -> dict[str, str]:
    """Return the recipe of each photo that is on its way, by its id."""
    table = JobTable(watching.client)
    jobs = [table.get_job(job_id) for job_id in watching.jobs()]
    return {job.photo_id: job.recipe.name for job in jobs if job}


def test_every_recipe_that_the_operator_chose_has_its_photos(watching: Watching) -> None:
    update_runtime_settings(watching.client, recipes=("lines", "peacock"))
    watching.start()
    for number in range(12):
        (watching.inbox / f"{number}.jpg").write_bytes(jpeg(colours(number)))
    until(lambda: watching.waiting() == 12)
    watching.stop()
    assert set(dreamt_as(watching).values()) == {"lines", "peacock"}


def test_where_the_operator_chose_none_every_recipe_of_the_settings_has_its_photos(watching: Watching) -> None:
    menu = RecipeChoice(watching.settings, watching.client)
    photos = [hashlib.sha256(bytes([number])).hexdigest() for number in range(200)]
    shares = Counter(menu.choose_recipe(photo).name for photo in photos)
    assert set(shares) == set(DEFAULT_PAINTER_RECIPES)
    assert min(shares.values()) > 20  # of 40, were they equal


def test_a_photo_has_the_same_recipe_whenever_it_comes(watching: Watching) -> None:
    watching.start()
    for number in range(6):
        (watching.inbox / f"{number}.jpg").write_bytes(jpeg(colours(number)))
    until(lambda: watching.waiting() == 6)
    watching.stop()
    for number in reversed(range(6)):
        (watching.inbox / f"{number} again.jpg").write_bytes(jpeg(colours(number)))
    (watching.inbox / "new.jpg").write_bytes(jpeg(colours(6)))
    watching.start()
    until(lambda: watching.waiting() == 7)
    watching.stop()
    assert len(dreamt_as(watching)) == len(watching.jobs()) == 7


def test_a_recipe_that_this_producer_does_not_know_is_left_out(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    update_runtime_settings(watching.client, recipes=("of a later version",))
    watching.start()
    (watching.inbox / "one.jpg").write_bytes(jpeg(colours(1)))
    until(lambda: watching.waiting() == 1)
    watching.stop()
    assert set(dreamt_as(watching).values()) < set(watching.settings.recipes)
    assert "of a later version" in caplog.text
