"""What guests send from their phones goes the way of all photos, and does not pile up."""

import hashlib
import io
import sqlite3
from pathlib import Path

import pytest

from producer.detection.stability import read_file_version
from producer.outbox.ledger import LEDGER_FILE_NAME, File, Ledger
from producer.outbox.outbox import Outbox
from shared.guest_uploads import GUEST_UPLOADS_FOLDER, GuestUpload, make_file_name
from shared.jobs.job import Job
from shared.jobs.table import JobTable
from shared.jpeg_marker import JPEG_MARKER
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from tests.pictures import colours, heic
from tests.producer.conftest import Watching, until

HEIC = heic(colours(31))
GUEST = "0123456789abcdef"


def job_of(data: bytes, recipe: str = "curls") -> Job:
    return Job(photo_id=hashlib.sha256(data).hexdigest(), recipe=load_recipe(recipe), submitter=GUEST)


def sent(settings: Settings, data: bytes, recipe: str = "curls") -> Path:
    """What the display does with an upload."""
    folder = settings.data / GUEST_UPLOADS_FOLDER / recipe
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder.parent / ".draft.part"
    draft.write_bytes(data)
    return draft.rename(folder / make_file_name(GuestUpload(GUEST, job_of(data).id), "heic"))


def test_a_guest_s_photo_is_dreamt_as_the_guest_chose_and_its_file_is_removed(watching: Watching) -> None:
    watching.start()
    first = sent(watching.settings, HEIC)
    until(lambda: watching.waiting() == 1)
    job = JobTable(watching.client).get_job(job_of(HEIC).id)
    assert job
    assert (job.recipe, job.submitter) == (load_recipe("curls"), GUEST)
    second = sent(watching.settings, HEIC, "night")
    until(lambda: watching.waiting() == 2)
    until(lambda: not first.exists() and not second.exists())
    watching.stop()
    with sqlite3.connect(watching.settings.data / LEDGER_FILE_NAME) as db:
        assert db.execute("SELECT count(*) FROM files").fetchone() == (0,)
    db.close()


def test_a_guest_who_sends_the_same_again_makes_no_second_job(watching: Watching) -> None:
    watching.start()
    for _ in range(3):
        path = sent(watching.settings, HEIC)
        until(lambda path=path: not path.exists())
    watching.stop()
    assert list(watching.jobs().values()) == [1]


def test_what_was_spooled_before_a_crash_is_removed_and_not_taken_again(watching: Watching) -> None:
    settings = watching.settings
    path = sent(settings, HEIC)
    mark = read_file_version(path)
    assert mark
    ledger = Ledger(settings.data)
    Outbox(ledger).add(job_of(HEIC), b"jpeg", File(path, mark))
    ledger.close()
    watching.start()
    until(lambda: not path.exists() and watching.waiting() == 1)
    watching.stop()
    assert list(watching.jobs().values()) == [1]


def test_a_guest_s_file_stays_until_it_is_spooled(watching: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    from producer import watch
    from producer.outbox.outbox import DiskUnavailable

    full = [True]

    class Filling(Outbox):
        def add(self, job: Job, jpeg: bytes, file: File) -> None:
            if full:
                raise DiskUnavailable("The disk is full.")
            super().add(job, jpeg, file)

    monkeypatch.setattr(watch, "Outbox", Filling)
    watching.start()
    path = sent(watching.settings, HEIC)
    watching._thread.join(3)  # longer than between two looks
    assert path.exists()
    full.clear()
    until(lambda: not path.exists() and watching.waiting() == 1)


def test_a_guest_is_told_of_a_photo_that_is_damaged_or_a_dream_already(watching: Watching) -> None:
    dream = io.BytesIO()
    colours(32).save(dream, "JPEG", comment=JPEG_MARKER)
    damaged, again = sent(watching.settings, HEIC[:900]), sent(watching.settings, dream.getvalue())
    watching.start(patience_seconds=0.3)
    until(lambda: len(watching.refused()) == 2)
    refused = watching.refused()
    assert refused[again.name] == "is a dream already"
    assert refused[damaged.name].startswith("is damaged")
    until(lambda: not damaged.exists() and not again.exists())


def test_what_else_lies_in_the_folder_is_left_alone(watching: Watching) -> None:
    folder = watching.settings.data / GUEST_UPLOADS_FOLDER
    others = [folder / "no-recipe" / "a.jpg", folder / "b.jpg", folder / ".half.part"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(HEIC)
    inbox = watching.inbox / make_file_name(GuestUpload(GUEST, "0" * 32), "heic")  # a name alone makes nobody a guest
    inbox.write_bytes(HEIC)
    watching.start()
    until(lambda: watching.waiting() == 1)
    watching.stop()
    assert all(path.exists() for path in (*others, inbox))
