"""`artdream watch`: each file in the inbox, present or new, becomes one job."""

import io
import itertools
import logging
import os
import shutil
import threading
import time
import unicodedata
from pathlib import Path

import pytest

from producer.decoding.convert import convert
from producer.detection.watched_folder import WatchedFolder
from producer.ledger import FileVersion, Ledger
from producer.watch import run
from shared.errors import ArtDreamError
from shared.jobs.events import Accepted, FileRejected, Stage
from shared.jobs.table import JobTable
from shared.jpeg_marker import JPEG_MARKER
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.settings import Settings
from shared.storage.object_names import motion_name, photo_name
from shared.storage.store import Store
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.producer.conftest import ProducerThread
from tests.producer.decoding.videos import encode_video, make_moving_pictures
from tests.waiting import wait_until

HEIC_PHOTO = encode_heic(make_picture(1))
OTHER_PHOTO = encode_jpeg(make_picture(2))


def test_a_dropped_heic_becomes_one_job_with_its_photo_in_the_store(
    producer_thread: ProducerThread, store: Store
) -> None:
    producer_thread.start()
    (producer_thread.inbox / "IMG_0001.HEIC").write_bytes(HEIC_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 1)
    producer_thread.stop()
    (job_id,) = producer_thread.count_queued_jobs()
    job = JobTable(producer_thread.client).get_job(job_id)
    assert job is not None
    assert job.id == job_id
    assert job.recipe.name in producer_thread.settings.recipes
    assert set(job.stages) == {"settle", "convert", "upload"}
    assert job.stages[Stage.SETTLE] + job.stages[Stage.CONVERT] >= producer_thread.settings.settle_seconds
    assert store.get(photo_name(job.photo_id)) == convert(HEIC_PHOTO).jpeg


def test_a_short_video_becomes_one_job_and_a_long_one_is_refused_with_its_length(
    producer_thread: ProducerThread, store: Store
) -> None:
    producer_thread.start()
    video = encode_video(make_moving_pictures(20), container="mov")
    (producer_thread.inbox / "IMG_0001.MOV").write_bytes(video)
    (producer_thread.inbox / "IMG_0002.MOV").write_bytes(encode_video(make_moving_pictures(12), rate=1))
    wait_until(lambda: producer_thread.count_waiting() == 1 and producer_thread.read_refusals())
    producer_thread.stop()
    (job_id,) = producer_thread.count_queued_jobs()
    job = JobTable(producer_thread.client).get_job(job_id)
    assert job is not None
    assert store.get(photo_name(job.photo_id)) == convert(video).jpeg
    assert store.get(motion_name(job.photo_id)) == convert(video).motion
    assert "is a video of 12 s: at most 10 s are taken" in str(producer_thread.read_refusals())


def test_a_file_moved_in_becomes_one_job(producer_thread: ProducerThread, tmp_path: Path) -> None:
    producer_thread.start()
    (tmp_path / "elsewhere.heic").write_bytes(HEIC_PHOTO)
    (tmp_path / "elsewhere.heic").rename(producer_thread.inbox / "IMG_0001.HEIC")
    wait_until(lambda: producer_thread.count_waiting() == 1)


def test_a_browser_s_download_is_taken_when_it_gets_its_name(producer_thread: ProducerThread) -> None:
    producer_thread.start()
    partial = producer_thread.inbox / "IMG_0001.HEIC.crdownload"
    partial.write_bytes(HEIC_PHOTO)
    (producer_thread.inbox / ".IMG_0002.HEIC.xyz").write_bytes(OTHER_PHOTO)
    (producer_thread.inbox / "a folder.heic").mkdir()
    (producer_thread.inbox / "seen.jpg").write_bytes(OTHER_PHOTO)  # written last: the others are handled before it
    wait_until(lambda: producer_thread.count_waiting() == 1)
    partial.rename(producer_thread.inbox / "IMG_0001.HEIC")
    wait_until(lambda: producer_thread.count_waiting() == 2)
    assert producer_thread.read_refusals() == {}


def test_what_a_mac_leaves_beside_photos_is_neither_sent_nor_refused(producer_thread: ProducerThread) -> None:
    """Seen failing: the file of a folder's own icon was refused as empty."""
    producer_thread.start()
    inbox = producer_thread.inbox
    for name in (".DS_Store", "._IMG_0001.HEIC", ".IMG_0002.HEIC.icloud", ".localized", "Icon\r", "Thumbs.db"):
        (inbox / name).write_bytes(b"")
    (inbox / "IMG_0003.HEIC.download").mkdir()  # Safari's, which becomes the file
    (inbox / "IMG_0003.HEIC.download" / "IMG_0003.HEIC").write_bytes(HEIC_PHOTO[:2000])
    (inbox / "IMG_0001.HEIC").write_bytes(HEIC_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 1)
    shutil.copy2(inbox / "IMG_0001.HEIC", inbox / "IMG_0001 2.HEIC")  # Finder's copy
    (inbox / "IMG_0004.jpg").write_bytes(OTHER_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 2)
    wait_until(lambda: count_ledger_files(producer_thread.settings, inbox) == 3)
    producer_thread.stop()
    assert sorted(producer_thread.count_queued_jobs().values()) == [1, 1]
    assert producer_thread.read_refusals() == {}


def test_a_photo_whose_name_changes_in_case_or_composition_only_is_the_same_job(
    producer_thread: ProducerThread, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "producer")
    producer_thread.start()
    name = "Gäste im Café.HEIC"
    names = [name, name.lower(), unicodedata.normalize("NFD", name)]
    (producer_thread.inbox / names[0]).write_bytes(HEIC_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 1)
    for number, (old, new) in enumerate(itertools.pairwise(names), start=1):
        (producer_thread.inbox / old).rename(producer_thread.inbox / new)
        wait_until(lambda number=number: caplog.text.count("already known") == number)  # type: ignore[misc]
    producer_thread.stop()
    assert list(producer_thread.count_queued_jobs().values()) == [1]
    assert producer_thread.read_refusals() == {}


@pytest.mark.parametrize("pause", [0.1, 0.4], ids=["steadily", "with pauses longer than settling"])
@pytest.mark.parametrize("preallocated", [False, True], ids=["growing", "of its final size"])
def test_a_slowly_written_file_becomes_exactly_one_job(
    producer_thread: ProducerThread, pause: float, preallocated: bool
) -> None:
    """Seen failing with the size and the decoder's word alone: one job too many, of a part of the picture."""
    producer_thread.start(patience_seconds=3.0)
    part_bytes = len(HEIC_PHOTO) // 5 + 1
    with (producer_thread.inbox / "slow.heic").open("wb", buffering=0) as file:
        file.truncate(len(HEIC_PHOTO) if preallocated else 0)
        for offset in range(0, len(HEIC_PHOTO), part_bytes):
            file.write(HEIC_PHOTO[offset : offset + part_bytes])
            producer_thread._thread.join(pause)  # a pause: there is nothing to wait for
    wait_until(lambda: producer_thread.count_waiting() == 1)
    producer_thread.stop()
    assert list(producer_thread.count_queued_jobs().values()) == [1]
    assert producer_thread.read_refusals() == {}


def test_a_large_folder_is_not_looked_through_for_every_written_block(
    producer_thread: ProducerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with a scan for each event: a core was busy for as long as a file was written."""
    scan, scan_seconds = WatchedFolder.scan, list[float]()

    def scan_slowly(folder: WatchedFolder) -> dict[Path, FileVersion]:
        started = time.monotonic()
        threading.Event().wait(0.05)  # as for some thousand files
        try:
            return scan(folder)
        finally:
            scan_seconds.append(time.monotonic() - started)

    monkeypatch.setattr(WatchedFolder, "scan", scan_slowly)
    producer_thread.start()
    wait_until(lambda: scan_seconds)
    started = time.monotonic()
    scan_seconds.clear()
    with (producer_thread.inbox / "film.mov.part").open("wb", buffering=0) as file:
        while time.monotonic() < started + 3:
            file.write(bytes(1000))
            producer_thread._thread.join(0.01)
    assert sum(scan_seconds) < 0.5 * (time.monotonic() - started)
    (producer_thread.inbox / "a.heic").write_bytes(HEIC_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 1)


def test_a_writer_that_gives_up_for_a_while_is_forgiven(producer_thread: ProducerThread) -> None:
    producer_thread.start()
    with (producer_thread.inbox / "late.heic").open("wb", buffering=0) as file:
        file.write(HEIC_PHOTO[:3000])
        wait_until(producer_thread.read_refusals)
        file.write(HEIC_PHOTO[3000:])
    wait_until(lambda: producer_thread.count_waiting() == 1)


def test_the_same_photo_under_another_name_is_the_same_job(
    producer_thread: ProducerThread, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "producer")
    producer_thread.start()
    (producer_thread.inbox / "IMG_1.HEIC").write_bytes(HEIC_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 1)
    shutil.copy(producer_thread.inbox / "IMG_1.HEIC", producer_thread.inbox / "IMG_1 (1).HEIC")
    wait_until(lambda: "already known" in caplog.text)
    producer_thread.stop()
    assert list(producer_thread.count_queued_jobs().values()) == [1]
    assert producer_thread.count_waiting() == 1


def test_another_photo_under_the_same_name_is_another_job(producer_thread: ProducerThread) -> None:
    producer_thread.start()
    (producer_thread.inbox / "image.jpg").write_bytes(HEIC_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 1)
    (producer_thread.inbox / "image.jpg").write_bytes(OTHER_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 2)


def test_what_was_there_before_is_taken_and_a_restart_repeats_nothing(
    producer_thread: ProducerThread, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(12):
        (producer_thread.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
    (producer_thread.inbox / "broken.jpg").write_bytes(b"no")
    producer_thread.start()
    wait_until(lambda: producer_thread.has_handled(13))
    producer_thread.stop()
    caplog.clear()
    caplog.set_level(logging.INFO, "producer")
    producer_thread.start()
    (producer_thread.inbox / "new.heic").write_bytes(HEIC_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 13)
    producer_thread.stop()
    assert sorted(producer_thread.count_queued_jobs().values()) == [1] * 13
    messages = [record.message.partition(" ")[0] for record in caplog.records]
    assert messages == ["Watching", "new.heic:"]  # the others were not opened


def test_with_new_only_what_was_there_before_the_first_start_is_left_alone(
    producer_thread: ProducerThread, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing without a baseline: the old photo was sent, and the document copied to the quarantine."""
    caplog.set_level(logging.INFO, "producer")
    downloads = tmp_path / "Downloads"
    downloads.mkdir()
    (downloads / "passport.jpg").write_bytes(OTHER_PHOTO)
    (downloads / "tax-return.pdf").write_bytes(b"%PDF-1.7\n")
    producer_thread.start(folders=[downloads], new_only=True)
    wait_until(lambda: "Watching" in caplog.text)
    (downloads / "IMG_0001.HEIC").write_bytes(HEIC_PHOTO)
    wait_until(lambda: producer_thread.has_handled(1))
    producer_thread.stop()
    (downloads / "IMG_0002.jpg").write_bytes(encode_jpeg(make_picture(3)))  # while the producer is not running
    producer_thread.start(folders=[downloads], new_only=True)
    wait_until(lambda: producer_thread.has_handled(2))
    producer_thread.stop()
    assert producer_thread.count_waiting() == 2
    photo_ids = {event.photo_id for event in producer_thread.read_events() if isinstance(event, Accepted)}
    assert photo_ids == {convert(HEIC_PHOTO).photo_id, convert(encode_jpeg(make_picture(3))).photo_id}
    assert producer_thread.read_refusals() == {}


def test_outside_the_inbox_what_is_no_picture_is_neither_copied_nor_reported(
    producer_thread: ProducerThread, tmp_path: Path
) -> None:
    """Seen failing with one rule for all folders: four copies in the quarantine, four names in the event stream."""
    downloads = tmp_path / "Downloads"
    downloads.mkdir()
    producer_thread.start(folders=[downloads], max_file_mb=1)
    (downloads / "tax-return.pdf").write_bytes(b"%PDF-1.7\n")
    (downloads / "placeholder.jpg").touch()
    (downloads / "film.mov").write_bytes(b"\0\0\0\x14ftypqt  " + bytes(100))
    (downloads / "installer.dmg").write_bytes(bytes(1_000_001))
    (downloads / "damaged.jpg").write_bytes(OTHER_PHOTO[:300])
    wait_until(lambda: count_ledger_files(producer_thread.settings, downloads) == 5)
    producer_thread.stop()
    assert list(producer_thread.read_refusals()) == ["damaged.jpg"]
    assert set(producer_thread.list_quarantine()) == {"damaged.jpg", "damaged.jpg.reason.txt"}


def test_what_is_no_photo_is_set_aside_and_the_next_guest_does_not_wait(
    producer_thread: ProducerThread, caplog: pytest.LogCaptureFixture
) -> None:
    unusable = {
        "cut.heic": HEIC_PHOTO[:2000],
        "empty.jpg": b"",
        "letter.jpg": b"Dear guest,\n",
        "evil\n\x1b[31m.png": b"?",
    }
    patience_seconds, started = 3.0, time.monotonic()
    producer_thread.start(patience_seconds=patience_seconds)
    for name, content in unusable.items():
        (producer_thread.inbox / name).write_bytes(content)
    (producer_thread.inbox / "good.heic").write_bytes(HEIC_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 1)
    refusals = producer_thread.read_refusals()
    assert refusals == {} or time.monotonic() >= started + patience_seconds
    wait_until(lambda: len(producer_thread.read_refusals()) == 4)
    producer_thread.stop()
    assert producer_thread.read_refusals() == {
        "cut.heic": "is damaged: the file ends too early",
        "empty.jpg": "is empty",
        "letter.jpg": "is not a picture (HEIC, JPEG, PNG, WebP, TIFF or AVIF)",
        "evil??[31m.png": "is not a picture (HEIC, JPEG, PNG, WebP, TIFF or AVIF)",
    }
    for name, content in unusable.items():
        assert (producer_thread.inbox / name).read_bytes() == content
    quarantined = producer_thread.list_quarantine()
    assert quarantined["cut.heic"].read_bytes() == HEIC_PHOTO[:2000]
    assert quarantined["letter.jpg.reason.txt"].read_text().startswith("letter.jpg is not a picture")
    assert {"empty.jpg", "empty.jpg.reason.txt", "evil___31m.png"} <= quarantined.keys()
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 4
    assert not any(record.exc_info or "\n" in record.message for record in warnings)


def test_a_file_that_is_taken_away_before_it_is_whole_is_forgotten(
    producer_thread: ProducerThread, caplog: pytest.LogCaptureFixture
) -> None:
    producer_thread.start(settle_seconds=1.0)
    (producer_thread.inbox / "gone.heic").write_bytes(HEIC_PHOTO)
    (producer_thread.inbox / "stays.jpg").write_bytes(OTHER_PHOTO)
    (producer_thread.inbox / "gone.heic").unlink()
    wait_until(lambda: producer_thread.count_waiting() == 1)
    producer_thread.stop()
    assert producer_thread.read_refusals() == {}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_names_need_not_be_text(producer_thread: ProducerThread) -> None:
    name = os.fsencode(producer_thread.inbox) + b"/caf\xe9 \xf0\x9f\x8e\xa8.heic"
    Path(os.fsdecode(name)).write_bytes(HEIC_PHOTO)
    Path(os.fsdecode(name + b"!")).write_bytes(b"no")
    producer_thread.start()
    wait_until(lambda: producer_thread.has_handled(2))
    producer_thread.stop()
    producer_thread.start()
    wait_until(lambda: HeartbeatRegistry(producer_thread.client).list_heartbeats())
    producer_thread.stop()
    assert list(producer_thread.count_queued_jobs().values()) == [1]
    assert list(producer_thread.read_refusals()) == ["caf? 🎨.heic!"]


def test_nothing_is_written_outside_the_data_folder(producer_thread: ProducerThread, tmp_path: Path) -> None:
    (producer_thread.inbox / "a.heic").write_bytes(HEIC_PHOTO)
    (producer_thread.inbox / "b.heic").write_bytes(b"no")
    before = {path: path.stat() for path in tmp_path.rglob("*")}
    producer_thread.start()
    wait_until(lambda: producer_thread.has_handled(2))
    producer_thread.stop()
    after = {
        entry: entry.stat() for entry in tmp_path.rglob("*") if not entry.is_relative_to(producer_thread.settings.data)
    }
    assert {entry: status.st_mtime_ns for entry, status in after.items()} == {
        entry: status.st_mtime_ns for entry, status in before.items()
    }


def test_two_producers_on_one_folder_make_one_job_of_a_photo(producer_thread: ProducerThread, tmp_path: Path) -> None:
    other = ProducerThread(
        producer_thread.settings.model_copy(update={"data": tmp_path / "other"}), producer_thread.client
    )
    store = producer_thread.settings.data / "store"
    for producer in (producer_thread, other):
        producer.start(store_url=store.as_uri())
    for number in range(6):
        (producer_thread.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
    wait_until(
        lambda: all(
            count_ledger_files(producer.settings, producer_thread.inbox) == 6 for producer in (producer_thread, other)
        )
    )
    for producer in (producer_thread, other):
        producer.stop()
    assert sorted(producer_thread.count_queued_jobs().values()) == [1] * 6
    assert producer_thread.count_waiting() == 6


def count_ledger_files(settings: Settings, folder: Path) -> int:
    ledger = Ledger(settings.data)
    try:
        return len(ledger.list_processed_files(folder)) if not ledger.query("SELECT * FROM spool") else 0
    finally:
        ledger.close()


def test_several_folders_are_watched_at_once(producer_thread: ProducerThread, tmp_path: Path) -> None:
    folders = [producer_thread.inbox, tmp_path / "Downloads", tmp_path / "Desktop"]
    for folder in folders[1:]:
        folder.mkdir()
    producer_thread.start(folders=folders)
    for number, folder in enumerate(folders):
        (folder / "IMG_1.jpg").write_bytes(encode_jpeg(make_picture(number)))
    wait_until(lambda: producer_thread.count_waiting() == 3)
    producer_thread.stop()
    assert sorted(producer_thread.count_queued_jobs().values()) == [1] * 3


def test_a_dream_that_somebody_saved_in_the_folder_is_left_alone(producer_thread: ProducerThread) -> None:
    producer_thread.start()
    dream = io.BytesIO()
    make_picture(1).save(dream, "JPEG", comment=JPEG_MARKER)
    (producer_thread.inbox / "IMG_1-animals.jpg").write_bytes(dream.getvalue())
    wait_until(lambda: count_ledger_files(producer_thread.settings, producer_thread.inbox) == 1)
    (producer_thread.inbox / "IMG_2.jpg").write_bytes(OTHER_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 1)
    producer_thread.stop()
    assert len(producer_thread.count_queued_jobs()) == 1
    assert producer_thread.read_refusals() == {}


def test_a_lost_folder_is_waited_for(producer_thread: ProducerThread, caplog: pytest.LogCaptureFixture) -> None:
    producer_thread.start()
    wait_until(lambda: HeartbeatRegistry(producer_thread.client).list_heartbeats())
    producer_thread.inbox.rename(producer_thread.inbox.with_name("unplugged"))
    wait_until(lambda: "is unavailable" in caplog.text)
    producer_thread.inbox.mkdir()
    (producer_thread.inbox / "a.heic").write_bytes(HEIC_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 1)
    assert caplog.text.count("is unavailable") == caplog.text.count("is back") == 1


def test_the_operator_sees_that_it_watches_and_that_it_has_left(producer_thread: ProducerThread) -> None:
    producer_thread.start()
    wait_until(lambda: HeartbeatRegistry(producer_thread.client).list_heartbeats())
    (heartbeat,) = HeartbeatRegistry(producer_thread.client).list_heartbeats()
    assert (heartbeat.part, heartbeat.state, heartbeat.detail) == (
        Component.PRODUCER,
        "watching",
        str(producer_thread.inbox),
    )
    producer_thread.stop()
    assert HeartbeatRegistry(producer_thread.client).list_heartbeats() == []


def test_a_missing_inbox_is_one_clear_sentence(settings: Settings) -> None:
    settings.inbox.rmdir()
    with pytest.raises(ArtDreamError, match=r"There is no folder .*inbox: create it, or name another one"):
        run(settings, threading.Event())
    settings.inbox.write_text("a file")
    with pytest.raises(ArtDreamError, match="is not a folder"):
        run(settings, threading.Event())


@pytest.mark.parametrize("year", [2500, 1066])
def test_a_photo_of_an_impossible_date_is_a_photo_and_a_restart_repeats_nothing(
    producer_thread: ProducerThread, year: int
) -> None:
    """Seen failing with unlimited times: 64-bit nanoseconds end in 2262, and the producer crashed."""
    time_ns = (year - 1970) * 365 * 24 * 3600 * 10**9
    for name, content in (("a.heic", HEIC_PHOTO), ("b.jpg", b"no")):
        (producer_thread.inbox / name).write_bytes(content)
        os.utime(producer_thread.inbox / name, ns=(time_ns, time_ns))
    producer_thread.start()
    wait_until(lambda: producer_thread.count_waiting() == 1 and len(producer_thread.read_refusals()) == 1)
    producer_thread.stop()
    producer_thread.start()
    (producer_thread.inbox / "c.jpg").write_bytes(OTHER_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 2)
    producer_thread.stop()
    assert sorted(producer_thread.count_queued_jobs().values()) == [1, 1]
    assert len([event for event in producer_thread.read_events() if isinstance(event, FileRejected)]) == 1


LIVE_FILM = b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(1000)


@pytest.mark.parametrize("film_first", [False, True])
@pytest.mark.parametrize("name", ["IMG_0042.HEIC", "img_0042.jpg"])
def test_what_lies_beside_a_picture_of_its_name_is_left_alone_without_a_word(
    producer_thread: ProducerThread, caplog: pytest.LogCaptureFixture, name: str, *, film_first: bool
) -> None:
    """Seen failing: a Live Photo raised two alarms, and its film was copied to the quarantine."""
    producer_thread.start(patience_seconds=1.5)
    if film_first:
        (producer_thread.inbox / "IMG_0042.MOV").write_bytes(LIVE_FILM)
    (producer_thread.inbox / name).write_bytes(HEIC_PHOTO)
    for companion in ("IMG_0042.MOV", "IMG_0042.AAE", "IMG_0042.xmp"):
        (producer_thread.inbox / companion).write_bytes(LIVE_FILM)
    (producer_thread.inbox / "letter.jpg").write_bytes(b"Dear guest,\n")  # rejected after the companions' time
    wait_until(lambda: producer_thread.has_handled(2))
    producer_thread.stop()
    assert list(producer_thread.count_queued_jobs().values()) == [1]
    assert list(producer_thread.read_refusals()) == ["letter.jpg"]
    assert "letter.jpg" in caplog.text
    assert not any(ending in caplog.text for ending in (".MOV", ".AAE", ".xmp"))


def test_the_video_of_a_live_photo_is_no_photo_of_its_own(producer_thread: ProducerThread) -> None:
    video = encode_video(make_moving_pictures(20), container="mov")
    (producer_thread.inbox / "IMG_0043.MOV").write_bytes(video)
    producer_thread.start(settle_seconds=1.0)
    (producer_thread.inbox / "IMG_0043.HEIC").write_bytes(HEIC_PHOTO)
    wait_until(lambda: count_ledger_files(producer_thread.settings, producer_thread.inbox) >= 1)
    wait_until(lambda: producer_thread.count_waiting() == 1)
    (producer_thread.inbox / "last.jpg").write_bytes(OTHER_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 2)
    producer_thread.stop()
    assert len(producer_thread.count_queued_jobs()) == 2
    assert producer_thread.read_refusals() == {}


def test_a_film_without_a_picture_of_its_name_is_no_companion(producer_thread: ProducerThread) -> None:
    (producer_thread.inbox / "IMG_0041.HEIC").write_bytes(HEIC_PHOTO)
    (producer_thread.inbox / "IMG_0042.MOV").write_bytes(LIVE_FILM)
    producer_thread.start()
    wait_until(lambda: producer_thread.has_handled(2))
    producer_thread.stop()
    assert list(producer_thread.read_refusals()) == ["IMG_0042.MOV"]


@pytest.mark.parametrize(
    "names",
    [
        ["IMG_1234.HEIC", "IMG_1234 2.HEIC"],
        ["IMG_1234.HEIC", "IMG_E1234.HEIC"],
        ["IMG_1234.HEIC", "IMG_1234.jpg"],
        ["IMG_1234.HEIC", "IMG_1235.HEIC", "IMG_1236.HEIC"],
    ],
    ids=["another with the same number", "an edited copy", "two formats", "a burst"],
)
def test_each_picture_of_a_phone_becomes_a_job_whatever_its_name(
    producer_thread: ProducerThread, names: list[str]
) -> None:
    for seed, name in enumerate(names):
        (producer_thread.inbox / name).write_bytes(encode_jpeg(make_picture(seed + 20)))
    producer_thread.start()
    wait_until(lambda: producer_thread.has_handled(len(names)))
    producer_thread.stop()
    assert list(producer_thread.count_queued_jobs().values()) == [1] * len(names)
    assert producer_thread.read_refusals() == {}


def test_a_heic_that_is_named_jpg_and_comes_twice_becomes_one_job(producer_thread: ProducerThread) -> None:
    for name in ("IMG_1234.jpg", "IMG_1234 2.HEIC"):
        (producer_thread.inbox / name).write_bytes(HEIC_PHOTO)
    producer_thread.start()
    wait_until(lambda: count_ledger_files(producer_thread.settings, producer_thread.inbox) == 2)
    producer_thread.stop()
    assert len(producer_thread.count_queued_jobs()) == 1
    assert producer_thread.read_refusals() == {}


def test_a_folder_in_the_inbox_is_looked_into(producer_thread: ProducerThread, tmp_path: Path) -> None:
    """Seen failing: a folder, as AirDrop delivers a Live Photo with all its data, was passed over in silence."""
    producer_thread.start()
    folder = tmp_path / "IMG_0043"
    (folder / "deeper").mkdir(parents=True)
    (folder / "IMG_0043.HEIC").write_bytes(HEIC_PHOTO)
    (folder / "IMG_0043.MOV").write_bytes(LIVE_FILM)
    (folder / "deeper" / "other.jpg").write_bytes(OTHER_PHOTO)
    folder.rename(producer_thread.inbox / "IMG_0043")
    wait_until(lambda: producer_thread.count_waiting() == 1)
    (producer_thread.inbox / "IMG_0043" / "IMG_E0043.HEIC").write_bytes(encode_heic(make_picture(4)))
    wait_until(lambda: producer_thread.count_waiting() == 2)
    producer_thread.stop()
    assert producer_thread.read_refusals() == {}
    producer_thread.start()
    (producer_thread.inbox / "last.jpg").write_bytes(encode_jpeg(make_picture(5)))
    wait_until(lambda: producer_thread.count_waiting() == 3)
    producer_thread.stop()
    assert list(producer_thread.count_queued_jobs().values()) == [1, 1, 1]


def test_the_data_folder_is_no_folder_of_the_inbox(producer_thread: ProducerThread) -> None:
    (producer_thread.inbox / "photo.jpg").write_bytes(OTHER_PHOTO)
    producer_thread.start(data=producer_thread.inbox / "data")
    wait_until(lambda: producer_thread.count_waiting() == 1)
    producer_thread.stop()
    assert producer_thread.read_refusals() == {}
