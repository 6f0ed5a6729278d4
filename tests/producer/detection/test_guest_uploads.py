"""Guests' uploads become jobs and are then removed."""

import hashlib
import io
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from producer.detection.guest_uploads import GuestUploadFolder
from producer.detection.stability import read_file_version
from producer.ledger import LEDGER_FILE_NAME, File, Ledger
from producer.outbox.outbox import Outbox
from shared.api.jobs import ApiJobs
from shared.guest_upload_names import (
    GUEST_UPLOADS_FOLDER,
    AssignedRecipe,
    GuestUpload,
    assigned_recipe_path,
    make_file_name,
)
from shared.jobs.job import MAX_SEED, Job, Lane, Origin
from shared.jobs.table import JobTable
from shared.jpeg_marker import JPEG_MARKER
from shared.monitoring.usage_counts import read_usage_counts
from shared.monitoring.usage_report import merge_counts
from shared.recipe.canary import Canary
from shared.recipe.recipe import load_recipe
from shared.redis_keys import api_refusal_key
from shared.settings import Settings
from shared.storage.store import Store
from tests.pictures import encode_heic, make_picture
from tests.producer.conftest import ProducerThread
from tests.waiting import wait_until

HEIC_PHOTO = encode_heic(make_picture(31))
GUEST_ID = "0123456789abcdef"


def make_job(data: bytes, recipe: str = "curls") -> Job:
    return Job(photo_id=hashlib.sha256(data).hexdigest(), recipe=load_recipe(recipe), submitter=GUEST_ID)


def place_upload(settings: Settings, data: bytes, recipe: str = "curls", upload: GuestUpload | None = None) -> Path:
    """Store an upload as the display does; return its path. upload: by default a phone's."""
    folder = settings.data / GUEST_UPLOADS_FOLDER / recipe
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder.parent / ".draft.part"
    draft.write_bytes(data)
    return draft.rename(folder / make_file_name(upload or GuestUpload(GUEST_ID, make_job(data).id), "heic"))


def test_a_guest_s_photo_is_dreamt_as_the_guest_chose_and_its_file_is_removed(producer_thread: ProducerThread) -> None:
    producer_thread.start()
    first = place_upload(producer_thread.settings, HEIC_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 1)
    job = JobTable(producer_thread.client).get_job(make_job(HEIC_PHOTO).id)
    assert job
    assert (job.recipe, job.submitter) == (load_recipe("curls"), GUEST_ID)
    second = place_upload(producer_thread.settings, HEIC_PHOTO, "night")
    wait_until(lambda: producer_thread.count_waiting() == 2)
    wait_until(lambda: not first.exists() and not second.exists())
    producer_thread.stop()
    with sqlite3.connect(producer_thread.settings.data / LEDGER_FILE_NAME) as db:
        assert db.execute("SELECT count(*) FROM files").fetchone() == (0,)
    db.close()


def test_a_photo_is_taken_with_whatever_recipe_its_guest_was_offered(settings: Settings) -> None:
    """Seen failing: photos for the painters, the first recipes on the page, stayed where they were."""
    names = settings.send_recipes.split()
    placed = {place_upload(settings, HEIC_PHOTO, name) for name in names}
    folder = GuestUploadFolder(settings.data, threading.Event())
    assert set(folder.list_files()) == {path.absolute() for path in placed}
    requests = filter(None, map(folder.parse_request, placed))
    assert sorted(request.assignment.recipe.name for request in requests) == sorted(names)


def test_a_program_s_photo_becomes_the_job_that_its_name_says(producer_thread: ProducerThread) -> None:
    wanted = make_job(HEIC_PHOTO).model_copy(update={"seed": MAX_SEED, "lane": Lane.BATCH, "origin": Origin.API})
    upload = GuestUpload(GUEST_ID, wanted.id, Origin.API, wanted.lane, wanted.seed)
    path = place_upload(producer_thread.settings, HEIC_PHOTO, upload=upload)
    producer_thread.start()
    wait_until(lambda: producer_thread.count_waiting(Lane.BATCH) == 1 and not path.exists())
    producer_thread.stop()
    job = JobTable(producer_thread.client).get_job(wanted.id)
    assert job
    assert job.model_copy(update={"stages": {}}) == wanted


def test_a_guest_who_sends_the_same_again_makes_no_second_job(producer_thread: ProducerThread) -> None:
    producer_thread.start()
    for _ in range(3):
        path = place_upload(producer_thread.settings, HEIC_PHOTO)
        wait_until(lambda path=path: not path.exists())  # type: ignore[misc]
    producer_thread.stop()
    assert list(producer_thread.count_queued_jobs().values()) == [1]


def test_an_upload_that_reached_the_outbox_before_a_crash_is_removed_and_not_submitted_again(
    producer_thread: ProducerThread,
) -> None:
    settings = producer_thread.settings
    path = place_upload(settings, HEIC_PHOTO)
    version = read_file_version(path)
    assert version
    ledger = Ledger(settings.data)
    Outbox(ledger).add(make_job(HEIC_PHOTO), b"jpeg", File(path, version))
    ledger.close()
    producer_thread.start()
    wait_until(lambda: not path.exists() and producer_thread.count_waiting() == 1)
    producer_thread.stop()
    assert list(producer_thread.count_queued_jobs().values()) == [1]


def test_a_guest_s_file_stays_until_it_is_in_the_outbox(
    producer_thread: ProducerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    from producer import watch
    from producer.outbox.outbox import DiskUnavailable

    disk_full = [True]

    class FullOutbox(Outbox):
        def add(self, *arguments: Any) -> None:
            if disk_full:
                raise DiskUnavailable("The disk is full.")
            super().add(*arguments)

    monkeypatch.setattr(watch, "Outbox", FullOutbox)
    producer_thread.start()
    path = place_upload(producer_thread.settings, HEIC_PHOTO)
    producer_thread._thread.join(3)  # longer than the poll interval
    assert path.exists()
    disk_full.clear()
    wait_until(lambda: not path.exists() and producer_thread.count_waiting() == 1)


def test_a_guest_is_told_of_a_photo_that_is_damaged_or_a_dream_already(producer_thread: ProducerThread) -> None:
    dream = io.BytesIO()
    make_picture(32).save(dream, "JPEG", comment=JPEG_MARKER)
    damaged, dream_upload = (
        place_upload(producer_thread.settings, HEIC_PHOTO[:900]),
        place_upload(producer_thread.settings, dream.getvalue()),
    )
    producer_thread.start(patience_seconds=0.3)
    wait_until(lambda: len(producer_thread.read_refusals()) == 2)
    refusals = producer_thread.read_refusals()
    assert refusals[dream_upload.name] == "is a dream already"
    assert refusals[damaged.name].startswith("is damaged")
    wait_until(lambda: not damaged.exists() and not dream_upload.exists())


def test_a_program_is_told_for_a_week_of_a_photo_that_is_damaged(producer_thread: ProducerThread) -> None:
    data = HEIC_PHOTO[:900]
    upload = GuestUpload(GUEST_ID, make_job(data).id, Origin.API)
    place_upload(producer_thread.settings, data, upload=upload)
    producer_thread.start(patience_seconds=0.3)
    wait_until(lambda: producer_thread.read_refusals())
    [job] = ApiJobs(producer_thread.client).read([upload.job_id])
    assert job.refusal
    assert job.refusal.reason.startswith("is damaged")
    assert job.refusal.code == "incomplete"
    assert producer_thread.client.ttl(api_refusal_key(upload.job_id)) > 6 * 86_400
    counts = merge_counts(
        read_usage_counts(producer_thread.client, Store(producer_thread.settings.store), 0, 2**31).values()
    )
    assert counts["refused|api|incomplete"] == 1


def test_what_else_lies_in_the_folder_is_left_alone(producer_thread: ProducerThread) -> None:
    folder = producer_thread.settings.data / GUEST_UPLOADS_FOLDER
    other_files = [folder / "no-recipe" / "a.jpg", folder / "b.jpg", folder / ".half.part"]
    for path in other_files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(HEIC_PHOTO)
    # A file of the inbox is no upload, whatever its name.
    inbox_file = producer_thread.inbox / make_file_name(GuestUpload(GUEST_ID, "0" * 32), "heic")
    inbox_file.write_bytes(HEIC_PHOTO)
    producer_thread.start()
    wait_until(lambda: producer_thread.count_waiting() == 1)
    producer_thread.stop()
    assert all(path.exists() for path in (*other_files, inbox_file))


def test_a_guest_s_photo_becomes_the_version_that_the_display_has_promised(producer_thread: ProducerThread) -> None:
    """The producer knows nothing of the canary: the operator may have ended it meanwhile."""
    current = load_recipe("curls")
    canary = Canary(candidate=current.model_copy(update={"version": current.version + 1}), percent=100)
    assignment = canary.assign(current, make_job(HEIC_PHOTO).photo_id)
    assert assignment.comparison
    promised = Job(photo_id=make_job(HEIC_PHOTO).photo_id, recipe=assignment.recipe)
    folder = producer_thread.settings.data / GUEST_UPLOADS_FOLDER / "curls"
    folder.mkdir(parents=True)
    path = folder / make_file_name(GuestUpload(GUEST_ID, promised.id), "heic")
    assigned = AssignedRecipe(recipe=assignment.recipe, comparison=assignment.comparison)
    assigned_recipe_path(path).write_text(assigned.model_dump_json())
    path.write_bytes(HEIC_PHOTO)
    producer_thread.start()
    wait_until(lambda: producer_thread.count_waiting() == 1 and not path.exists())
    producer_thread.stop()
    job = JobTable(producer_thread.client).get_job(promised.id)
    assert job
    assert (job.recipe, job.comparison) == assignment
    assert list(folder.iterdir()) == []


def test_a_damaged_assignment_costs_no_photo(producer_thread: ProducerThread) -> None:
    path = place_upload(producer_thread.settings, HEIC_PHOTO)
    assigned_recipe_path(path).write_text("{")
    producer_thread.start()
    wait_until(lambda: producer_thread.count_waiting() == 1 and not path.exists())
    producer_thread.stop()
    assert list(producer_thread.count_queued_jobs()) == [make_job(HEIC_PHOTO).id]
