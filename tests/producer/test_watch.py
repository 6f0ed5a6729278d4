"""What lies in, or arrives in, the inbox becomes a job, once."""

import io
import logging
import os
import shutil
import threading
from pathlib import Path

import pytest

from producer.decoding.convert import convert
from producer.outbox.ledger import Ledger
from producer.watch import run
from shared.errors import ArtDreamError
from shared.jobs.events import FileRejected
from shared.jobs.table import JobTable
from shared.jpeg_marker import JPEG_MARKER
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.settings import Settings
from shared.storage.object_names import photo_name
from shared.storage.store import Store
from tests.pictures import colours, heic, jpeg
from tests.producer.conftest import Watching, until

HEIC = heic(colours(1))
OTHER = jpeg(colours(2))


def test_a_dropped_heic_becomes_one_job_with_its_photo_in_the_store(watching: Watching, store: Store) -> None:
    watching.start()
    (watching.inbox / "IMG_0001.HEIC").write_bytes(HEIC)
    until(lambda: watching.waiting() == 1)
    watching.stop()
    (job_id,) = watching.jobs()
    job = JobTable(watching.client).get_job(job_id)
    assert job is not None
    assert job.id == job_id
    assert job.recipe.name in watching.settings.recipes
    assert set(job.stages) == {"settle", "convert", "upload"}
    assert job.stages["settle"] + job.stages["convert"] >= watching.settings.settle_seconds
    assert store.get(photo_name(job.photo_id)) == convert(HEIC).jpeg


def test_a_file_moved_in_becomes_one_job(watching: Watching, tmp_path: Path) -> None:
    watching.start()
    (tmp_path / "elsewhere.heic").write_bytes(HEIC)
    (tmp_path / "elsewhere.heic").rename(watching.inbox / "IMG_0001.HEIC")
    until(lambda: watching.waiting() == 1)


def test_a_browser_s_download_is_taken_when_it_gets_its_name(watching: Watching) -> None:
    watching.start()
    partial = watching.inbox / "IMG_0001.HEIC.crdownload"
    partial.write_bytes(HEIC)
    (watching.inbox / ".IMG_0002.HEIC.xyz").write_bytes(OTHER)
    (watching.inbox / "a folder.heic").mkdir()
    (watching.inbox / "seen.jpg").write_bytes(OTHER)  # later than the others, so they have had their chance
    until(lambda: watching.waiting() == 1)
    partial.rename(watching.inbox / "IMG_0001.HEIC")
    until(lambda: watching.waiting() == 2)
    assert watching.refused() == {}


@pytest.mark.parametrize("pause", [0.1, 0.4], ids=["steadily", "with pauses longer than settling"])
def test_a_slowly_written_file_becomes_exactly_one_job(watching: Watching, pause: float) -> None:
    watching.start()
    part = len(HEIC) // 5 + 1
    with (watching.inbox / "slow.heic").open("wb", buffering=0) as file:
        for at in range(0, len(HEIC), part):
            file.write(HEIC[at : at + part])
            watching._thread.join(pause)  # time passes; nothing to wait for
    until(lambda: watching.waiting() == 1)
    watching.stop()
    assert list(watching.jobs().values()) == [1]
    assert watching.refused() == {}


def test_a_writer_that_gives_up_for_a_while_is_forgiven(watching: Watching) -> None:
    watching.start()
    with (watching.inbox / "late.heic").open("wb", buffering=0) as file:
        file.write(HEIC[:3000])
        until(watching.refused)
        file.write(HEIC[3000:])
    until(lambda: watching.waiting() == 1)


def test_the_same_photo_under_another_name_is_the_same_job(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "producer")
    watching.start()
    (watching.inbox / "IMG_1.HEIC").write_bytes(HEIC)
    until(lambda: watching.waiting() == 1)
    shutil.copy(watching.inbox / "IMG_1.HEIC", watching.inbox / "IMG_1 (1).HEIC")
    until(lambda: "already known" in caplog.text)
    watching.stop()
    assert list(watching.jobs().values()) == [1]
    assert watching.waiting() == 1


def test_another_photo_under_the_same_name_is_another_job(watching: Watching) -> None:
    watching.start()
    (watching.inbox / "image.jpg").write_bytes(HEIC)
    until(lambda: watching.waiting() == 1)
    (watching.inbox / "image.jpg").write_bytes(OTHER)
    until(lambda: watching.waiting() == 2)


def test_what_was_there_before_is_taken_and_a_restart_repeats_nothing(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(12):
        (watching.inbox / f"{number}.jpg").write_bytes(jpeg(colours(number)))
    (watching.inbox / "broken.jpg").write_bytes(b"no")
    watching.start()
    until(lambda: watching.dealt_with(13))
    watching.stop()
    caplog.clear()
    caplog.set_level(logging.INFO, "producer")
    watching.start()
    (watching.inbox / "new.heic").write_bytes(HEIC)
    until(lambda: watching.waiting() == 13)
    watching.stop()
    assert sorted(watching.jobs().values()) == [1] * 13
    told = [record.message.partition(" ")[0] for record in caplog.records]
    assert told == ["Watching", "new.heic:"]  # the others were not even looked into


def test_what_is_no_photo_is_set_aside_and_the_next_guest_does_not_wait(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    unusable = {"cut.heic": HEIC[:2000], "empty.jpg": b"", "letter.jpg": b"Dear guest,\n", "evil\n\x1b[31m.png": b"?"}
    watching.start(patience_seconds=3.0)
    for name, content in unusable.items():
        (watching.inbox / name).write_bytes(content)
    (watching.inbox / "good.heic").write_bytes(HEIC)
    until(lambda: watching.waiting() == 1)
    assert watching.refused() == {}  # their time is not over
    until(lambda: len(watching.refused()) == 4)
    watching.stop()
    assert watching.refused() == {
        "cut.heic": "is damaged: the file ends too early",
        "empty.jpg": "is empty",
        "letter.jpg": "is not a picture (HEIC, JPEG, PNG, WebP, TIFF or AVIF)",
        "evil??[31m.png": "is not a picture (HEIC, JPEG, PNG, WebP, TIFF or AVIF)",
    }
    for name, content in unusable.items():
        assert (watching.inbox / name).read_bytes() == content
    kept = watching.quarantined()
    assert kept["cut.heic"].read_bytes() == HEIC[:2000]
    assert kept["letter.jpg.reason.txt"].read_text().startswith("letter.jpg is not a picture")
    assert {"empty.jpg", "empty.jpg.reason.txt", "evil___31m.png"} <= kept.keys()
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 4
    assert not any(record.exc_info or "\n" in record.message for record in warnings)


def test_a_file_that_is_taken_away_before_it_is_whole_is_forgotten(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    watching.start(settle_seconds=1.0)
    (watching.inbox / "gone.heic").write_bytes(HEIC)
    (watching.inbox / "stays.jpg").write_bytes(OTHER)
    (watching.inbox / "gone.heic").unlink()
    until(lambda: watching.waiting() == 1)
    watching.stop()
    assert watching.refused() == {}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_names_need_not_be_text(watching: Watching) -> None:
    name = os.fsencode(watching.inbox) + b"/caf\xe9 \xf0\x9f\x8e\xa8.heic"
    Path(os.fsdecode(name)).write_bytes(HEIC)
    Path(os.fsdecode(name + b"!")).write_bytes(b"no")
    watching.start()
    until(lambda: watching.dealt_with(2))
    watching.stop()
    watching.start()
    until(lambda: HeartbeatRegistry(watching.client).list_heartbeats())
    watching.stop()
    assert list(watching.jobs().values()) == [1]
    assert list(watching.refused()) == ["caf? 🎨.heic!"]


def test_nothing_is_written_outside_the_data_folder(watching: Watching, tmp_path: Path) -> None:
    (watching.inbox / "a.heic").write_bytes(HEIC)
    (watching.inbox / "b.heic").write_bytes(b"no")
    before = {path: path.stat() for path in tmp_path.rglob("*")}
    watching.start()
    until(lambda: watching.dealt_with(2))
    watching.stop()
    outside = {p: p.stat() for p in tmp_path.rglob("*") if not p.is_relative_to(watching.settings.data)}
    assert {p: s.st_mtime_ns for p, s in outside.items()} == {p: s.st_mtime_ns for p, s in before.items()}


def test_two_producers_on_one_folder_make_one_job_of_a_photo(watching: Watching, tmp_path: Path) -> None:
    other = Watching(watching.settings.model_copy(update={"data": tmp_path / "other"}), watching.client)
    store = watching.settings.data / "store"
    for producer in (watching, other):
        producer.start(store_url=store.as_uri())
    for number in range(6):
        (watching.inbox / f"{number}.jpg").write_bytes(jpeg(colours(number)))
    until(lambda: all(in_ledger(one.settings, watching.inbox) == 6 for one in (watching, other)))
    for producer in (watching, other):
        producer.stop()
    assert sorted(watching.jobs().values()) == [1] * 6
    assert watching.waiting() == 6


def in_ledger(settings: Settings, folder: Path) -> int:
    ledger = Ledger(settings.data)
    try:
        return len(ledger.list_processed_files(folder)) if not ledger.query("SELECT * FROM spool") else 0
    finally:
        ledger.close()


def test_several_folders_are_watched_at_once(watching: Watching, tmp_path: Path) -> None:
    folders = [watching.inbox, tmp_path / "Downloads", tmp_path / "Desktop"]
    for folder in folders[1:]:
        folder.mkdir()
    watching.start(folders=folders)
    for number, folder in enumerate(folders):
        (folder / "IMG_1.jpg").write_bytes(jpeg(colours(number)))
    until(lambda: watching.waiting() == 3)
    watching.stop()
    assert sorted(watching.jobs().values()) == [1] * 3


def test_a_dream_that_somebody_saved_in_the_folder_is_left_alone(watching: Watching) -> None:
    watching.start()
    dream = io.BytesIO()
    colours(1).save(dream, "JPEG", comment=JPEG_MARKER)
    (watching.inbox / "IMG_1-animals.jpg").write_bytes(dream.getvalue())
    until(lambda: in_ledger(watching.settings, watching.inbox) == 1)
    (watching.inbox / "IMG_2.jpg").write_bytes(OTHER)
    until(lambda: watching.waiting() == 1)
    watching.stop()
    assert len(watching.jobs()) == 1
    assert watching.refused() == {}


def test_a_lost_folder_is_waited_for(watching: Watching, caplog: pytest.LogCaptureFixture) -> None:
    watching.start()
    until(lambda: HeartbeatRegistry(watching.client).list_heartbeats())
    watching.inbox.rename(watching.inbox.with_name("unplugged"))
    until(lambda: "is away" in caplog.text)
    watching.inbox.mkdir()
    (watching.inbox / "a.heic").write_bytes(HEIC)
    until(lambda: watching.waiting() == 1)
    assert caplog.text.count("is away") == caplog.text.count("is back") == 1


def test_the_operator_sees_that_it_watches_and_that_it_has_left(watching: Watching) -> None:
    watching.start()
    until(lambda: HeartbeatRegistry(watching.client).list_heartbeats())
    (presence,) = HeartbeatRegistry(watching.client).list_heartbeats()
    assert (presence.part, presence.state, presence.detail) == (Component.PRODUCER, "watching", str(watching.inbox))
    assert watching.stop() < 2
    assert HeartbeatRegistry(watching.client).list_heartbeats() == []


def test_a_missing_inbox_is_one_clear_sentence(settings: Settings) -> None:
    settings.inbox.rmdir()
    with pytest.raises(ArtDreamError, match=r"There is no folder .*inbox: create it, or name another one"):
        run(settings, threading.Event())
    settings.inbox.write_text("a file")
    with pytest.raises(ArtDreamError, match="is not a folder"):
        run(settings, threading.Event())


@pytest.mark.parametrize("year", [2500, 1066])
def test_a_photo_of_an_impossible_date_is_a_photo_and_a_restart_repeats_nothing(watching: Watching, year: int) -> None:
    """Seen failing with the time as it is: 64 bits of nanoseconds end in 2262, and the producer with them."""
    when = (year - 1970) * 365 * 24 * 3600 * 10**9
    for name, content in (("a.heic", HEIC), ("b.jpg", b"no")):
        (watching.inbox / name).write_bytes(content)
        os.utime(watching.inbox / name, ns=(when, when))
    watching.start()
    until(lambda: watching.waiting() == 1 and len(watching.refused()) == 1)
    watching.stop()
    watching.start()
    (watching.inbox / "c.jpg").write_bytes(OTHER)
    until(lambda: watching.waiting() == 2)
    watching.stop()
    assert sorted(watching.jobs().values()) == [1, 1]
    assert len([event for event in watching.events() if isinstance(event, FileRejected)]) == 1
