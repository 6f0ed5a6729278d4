"""The operator pauses the intake and chooses what photos are dreamt with, while it runs."""

from pathlib import Path

import pytest

from producer.ledger import Ledger
from producer.menu import LOOK_EVERY
from producer.spool import Spool
from shared.jobtable import JobTable
from shared.painters import ROTATION
from shared.presence import Register
from shared.steering import steer
from tests.pictures import colours, jpeg
from tests.producer.conftest import Watching, until


def spooled(data: Path) -> int:
    ledger = Ledger(data)
    count = len(Spool(ledger))
    ledger.close()
    return count


def test_a_paused_intake_keeps_photos_and_sends_them_when_it_is_opened(watching: Watching) -> None:
    steer(watching.client, paused=True)
    watching.start()
    until(lambda: [one.state for one in Register(watching.client).present()] == ["paused"])
    (watching.inbox / "one.jpg").write_bytes(jpeg(colours(1)))
    until(lambda: spooled(watching.settings.data) == 1)
    watching._thread.join(2 * LOOK_EVERY)  # time passes; nothing may happen
    assert watching.waiting() == 0
    steer(watching.client, paused=False)
    until(lambda: watching.waiting() == 1)


def test_recipes_take_turns_from_photo_to_photo(watching: Watching) -> None:
    steer(watching.client, recipes=("lines", "peacock"))
    watching.start()
    for number in range(4):
        (watching.inbox / f"{number}.jpg").write_bytes(jpeg(colours(number)))
    until(lambda: watching.waiting() == 4)
    watching.stop()
    table = JobTable(watching.client)
    jobs = [table.job(job_id) for job_id in watching.jobs()]
    assert sorted(job.recipe.name for job in jobs if job) == ["lines", "lines", "peacock", "peacock"]


def test_the_recipes_of_the_settings_take_turns_where_the_operator_chose_none(watching: Watching) -> None:
    watching.start()
    for number in range(len(ROTATION)):
        (watching.inbox / f"{number}.jpg").write_bytes(jpeg(colours(number)))
    until(lambda: watching.waiting() == len(ROTATION))
    watching.stop()
    table = JobTable(watching.client)
    jobs = [table.job(job_id) for job_id in watching.jobs()]
    assert sorted(job.recipe.name for job in jobs if job) == sorted(ROTATION)


def test_a_recipe_that_this_producer_does_not_know_is_left_out(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    steer(watching.client, recipes=("of a later version",))
    watching.start()
    (watching.inbox / "one.jpg").write_bytes(jpeg(colours(1)))
    until(lambda: watching.waiting() == 1)
    watching.stop()
    (job_id,) = watching.jobs()
    job = JobTable(watching.client).job(job_id)
    assert job
    assert job.recipe.name == watching.settings.recipes[0]
    assert "of a later version" in caplog.text
