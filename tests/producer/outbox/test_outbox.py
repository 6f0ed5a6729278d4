"""The outbox: accepted photos are stored on disk in order, and survive deleted files, restarts and a full disk."""

import errno
import os
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from producer.ledger import File, FileVersion, Ledger
from producer.outbox.outbox import ORPHAN_AGE_SECONDS, DiskUnavailable, IncompatibleRow, Outbox, OutboxItem
from shared.broker.client import connect
from shared.jobs.events import Accepted
from shared.jobs.job import Job, Lane
from shared.jobs.queue import count_queued
from shared.jobs.refusal import RefusalCause, RefusalCode
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from shared.storage.object_names import photo_name
from shared.storage.quarantine import list_quarantined
from shared.storage.store import Store
from tests.fault.special_files import FILE_CHANGES
from tests.pictures import encode_jpeg, make_picture
from tests.producer.conftest import ProducerThread
from tests.servers import Valkey
from tests.waiting import wait_until


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger(settings.data)
    yield ledger
    ledger.close()


def make_job(number: int, recipe: str = "animals") -> Job:
    return Job(photo_id=f"{number:064x}", recipe=load_recipe(recipe))


def make_file(name: str) -> File:
    return File(Path("/inbox") / name, FileVersion(1, 2))


@pytest.mark.whole_component
def test_photos_taken_while_the_broker_is_away_go_out_in_order_though_their_files_are_gone(
    producer_thread: ProducerThread, tmp_path: Path, store: Store
) -> None:
    with Valkey() as server:
        port, url = server.port, server.url
    producer_thread.start(broker_url=SecretStr(url))
    ledger = Ledger(producer_thread.settings.data)
    for number in range(5):
        (producer_thread.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
        wait_until(lambda number=number: len(Outbox(ledger)) == number + 1)  # type: ignore[misc]
        (producer_thread.inbox / f"{number}.jpg").unlink()
    order = [photo_id for (photo_id,) in ledger.query("SELECT photo_id FROM spool ORDER BY number")]
    producer_thread.stop()
    with Valkey(port=port):
        producer_thread.client = connect(url)
        producer_thread.start(broker_url=SecretStr(url))
        wait_until(lambda: producer_thread.count_waiting() == 5)
        assert [event.photo_id for event in producer_thread.read_events() if isinstance(event, Accepted)] == order
        wait_until(lambda: len(Outbox(ledger)) == 0)
        producer_thread.stop()
        producer_thread.client.close()
    assert all(store.get(photo_name(photo_id)) for photo_id in order)
    assert list((producer_thread.settings.data / "spool").iterdir()) == []
    ledger.close()


def test_a_photo_for_two_recipes_stays_until_both_are_out(ledger: Ledger) -> None:
    outbox = Outbox(ledger)
    outbox.add(make_job(1), b"a photo", make_file("a.jpg"))
    outbox.add(make_job(1, "lines"), b"a photo", make_file("a.jpg"))
    first = outbox.next_item()
    assert first is not None
    assert first.job == make_job(1)
    outbox.mark_submitted(first)
    second = outbox.next_item()
    assert second is not None
    assert outbox.read_photo(second) == b"a photo"
    outbox.mark_submitted(second)
    assert outbox.next_item() is None
    assert list((ledger.data_folder / "spool").iterdir()) == []


def test_a_photo_that_went_out_small_stays_until_it_is_out_in_full(ledger: Ledger) -> None:
    outbox = Outbox(ledger)
    outbox.add(make_job(1), b"a photo", make_file("a.jpg"), b"small")
    outbox.add(make_job(1, "lines"), b"a photo", make_file("a.jpg"), b"small")
    for _ in range(2):
        item = outbox.next_item()
        assert item
        assert outbox.read_working_photo(item) == b"small"
        outbox.mark_submitted(item)
    upload = outbox.next_upload()
    assert upload
    assert (upload.photo_id, upload in outbox) == (make_job(1).photo_id, True)
    assert outbox.read_photo(upload) == b"a photo"
    assert outbox.next_upload(after=upload.number) is None
    outbox.mark_uploaded(upload)
    assert (outbox.next_upload(), upload in outbox) == (None, False)
    assert list((ledger.data_folder / "spool").iterdir()) == []


def test_a_photo_that_was_taken_from_a_video_goes_out_with_it(ledger: Ledger) -> None:
    outbox = Outbox(ledger)
    outbox.add(make_job(1), b"a photo", make_file("a.mov"), motion=b"a video")
    outbox.add(make_job(2), b"a photo", make_file("b.jpg"))
    motions = []
    while item := outbox.next_item():
        motions.append((outbox.read_working_photo(item), outbox.read_motion(item)))
        outbox.mark_submitted(item)
    assert motions == [(b"", b"a video"), (b"", b"")]
    assert list((ledger.data_folder / "spool").iterdir()) == []


def test_a_photo_that_is_still_to_be_uploaded_survives_a_restart(ledger: Ledger) -> None:
    outbox = Outbox(ledger)
    outbox.add(make_job(1), b"a photo", make_file("a.jpg"), b"small")
    item = outbox.next_item()
    assert item
    outbox.mark_submitted(item)
    for path in (ledger.data_folder / "spool").iterdir():
        os.utime(path, (0, 0))  # as of long ago
    restarted_outbox = Outbox(ledger)
    upload = restarted_outbox.next_upload()
    assert upload
    assert restarted_outbox.read_photo(upload) == b"a photo"


def test_items_come_in_order_and_each_is_remembered_once_it_is_out(ledger: Ledger) -> None:
    outbox = Outbox(ledger)
    outbox.add(make_job(1), b"a photo", make_file("a.jpg"))
    outbox.add_refusal(make_file("gone.jpg"), "", "is empty")
    outbox.add(make_job(2), b"another", make_file("b.jpg"))
    assert len(outbox) == 3
    items: list[OutboxItem] = []
    while item := outbox.next_item(after=items[-1].number if items else 0):
        items.append(item)
    assert [(item.file_name, item.photo_id, item.job, item.reason) for item in items] == [
        ("a.jpg", make_job(1).photo_id, make_job(1), ""),
        ("gone.jpg", "", None, "is empty"),
        ("b.jpg", make_job(2).photo_id, make_job(2), ""),
    ]
    for item in items[:2]:
        outbox.mark_submitted(item)
    assert len(outbox) == 1
    assert [path.name for path in (ledger.data_folder / "spool").iterdir()] == [f"{make_job(2).photo_id}.jpg"]
    rows = ledger.query("SELECT photo_id, job_id, state, reason FROM photos ORDER BY photo_id")
    assert rows == [("", "", "refused", "is empty"), (make_job(1).photo_id, make_job(1).id, "submitted", "")]


def test_a_file_that_is_ignored_is_remembered_and_not_submitted(ledger: Ledger) -> None:
    outbox = Outbox(ledger)
    outbox.ignore(make_file("a.jpg"), "ab" * 32)
    assert len(outbox) == 0
    assert ledger.query("SELECT path, size, mtime_ns, photo_id FROM files") == [(b"/inbox/a.jpg", 1, 2, "ab" * 32)]


def test_an_item_of_another_version_is_named_and_those_after_it_are_found(ledger: Ledger) -> None:
    outbox = Outbox(ledger)
    for number, name in enumerate(("newer.jpg", "a.jpg"), 1):
        outbox.add(make_job(number), b"a photo", make_file(name))
    with ledger.transaction() as db:
        db.execute("UPDATE spool SET job = replace(job, '\"version\":1', '\"version\":2') WHERE number = 1")
    with pytest.raises(IncompatibleRow, match=r"newer\.jpg") as error:
        outbox.next_item()
    item = outbox.next_item(after=error.value.number)
    assert item
    assert item.job == make_job(2)


def test_a_refusal_whose_cause_is_of_another_version_is_named(ledger: Ledger) -> None:
    """Seen failing: a TypeError, over which the relay would have started again and again."""
    outbox = Outbox(ledger)
    outbox.add_refusal(make_file("newer.jpg"), "", "is empty", RefusalCause(RefusalCode.EMPTY))
    with ledger.transaction() as db:
        db.execute("UPDATE causes SET cause = json_insert(cause, '$.severity', 2)")
    with pytest.raises(IncompatibleRow, match=r"newer\.jpg"):
        outbox.next_item()


def test_a_data_folder_that_cannot_be_written_is_named_as_such(ledger: Ledger) -> None:
    """The photo's path is a folder, and later the ledger is closed."""
    outbox = Outbox(ledger)
    draft = ledger.data_folder / "spool" / f"{make_job(1).photo_id}.{os.getpid()}"
    draft.mkdir()
    with pytest.raises(DiskUnavailable, match=r"^The data folder cannot be written: Is a directory\.$"):
        outbox.add(make_job(1), b"a photo", make_file("a.jpg"))
    ledger.close()
    with pytest.raises(DiskUnavailable, match=r"The ledger .* cannot be written"):
        outbox.ignore(make_file("a.jpg"), "")


def test_a_photo_is_kept_for_a_second_recipe_that_comes_while_the_first_goes_out(
    ledger: Ledger, settings: Settings
) -> None:
    """Seen failing with the file looked for before its row was entered: it was removed in between."""
    other_ledger = Ledger(settings.data)  # as of another process
    outbox, relay_outbox = Outbox(ledger), Outbox(other_ledger)
    with ThreadPoolExecutor(1) as executor:
        for number in range(500):
            outbox.add(make_job(number), b"a photo", make_file("a.jpg"))
            first = relay_outbox.next_item()
            assert first is not None
            submitted = executor.submit(relay_outbox.mark_submitted, first)
            outbox.add(make_job(number, "lines"), b"a photo", make_file("b.jpg"))
            submitted.result()
            second = outbox.next_item()
            assert second is not None
            assert outbox.read_photo(second) == b"a photo"
            outbox.mark_submitted(second)
    assert list((ledger.data_folder / "spool").iterdir()) == []
    other_ledger.close()


def test_what_a_killed_producer_left_is_swept_up_and_what_another_writes_is_not(ledger: Ledger) -> None:
    outbox = Outbox(ledger)
    outbox.add(make_job(1), b"entered", make_file("a.jpg"))
    folder = ledger.data_folder / "spool"
    for name, age in {
        "abandoned.jpg": ORPHAN_AGE_SECONDS + 60,
        "draft.4711": ORPHAN_AGE_SECONDS + 60,
        "fresh.jpg": 0,
    }.items():
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (time.time() - age, time.time() - age))
    Outbox(ledger)
    assert {path.name for path in folder.iterdir()} == {"fresh.jpg", f"{1:064x}.jpg"}


@pytest.mark.whole_component
def test_a_full_disk_holds_photos_back_until_there_is_room(
    producer_thread: ProducerThread, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test cannot fill a disk, so `os.fsync` fails as on a full one."""
    is_full = True
    fsync = os.fsync

    def failing_fsync(descriptor: int) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing_fsync)
    producer_thread.start()
    for number in range(8):
        (producer_thread.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
    wait_until(lambda: "No space left on device" in caplog.text)
    assert producer_thread.count_waiting() == 0
    assert list((producer_thread.settings.data / "spool").iterdir()) == []
    is_full = False
    wait_until(lambda: producer_thread.count_waiting() == 8)
    producer_thread.stop()
    assert sorted(producer_thread.count_queued_jobs().values()) == [1] * 8
    assert len(caplog.records) == 2  # full, writable again


@pytest.mark.whole_component
def test_a_refused_file_that_the_disk_has_no_space_for_holds_no_photo_back(
    settings: Settings, client: redis.Redis
) -> None:
    """Seen failing: a part of its copy stayed, each retry wrote it again, and photos behind it waited forever.

    The test cannot fill a disk, so the size of files is limited, which fails in the middle of the copy as well.
    """
    environment = {
        "BROKER_URL": settings.broker,
        "DATA": settings.data,
        "INBOX": settings.inbox,
        "PATIENCE_SECONDS": 0.1,
    }
    producer = subprocess.Popen(
        [sys.executable, "-m", "artdream", "watch"],
        env={**os.environ, **{f"ARTDREAM_{name}": str(value) for name, value in environment.items()}},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000)),
    )
    try:
        (settings.inbox / "large.jpg").write_bytes(b"\xff\xd8\xff" + os.urandom(2_000_000))
        wait_until(lambda: list_quarantined(settings.data), "the file is refused")
        (settings.inbox / "small.jpg").write_bytes(encode_jpeg(make_picture(1)))
        wait_until(lambda: count_queued(client, Lane.LIVE) == 1, "the photo is submitted")
    finally:
        producer.terminate()
        producer.wait()
    [(reason_file, reason)] = list_quarantined(settings.data)
    assert reason.startswith("large.jpg is damaged")
    assert reason.endswith(". No copy of it could be kept: file too large.")
    assert list(reason_file.parent.iterdir()) == [reason_file]


def test_an_accepted_photo_is_on_disk_before_its_row(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing without the folder: a power cut could leave the row, and no file of that name.

    The folder is flushed once for all files, as the guest waits for each time.
    """
    other_ledger, flushed = Ledger(settings.data), list[tuple[str, int]]()
    fsync = os.fsync

    def record_fsync(descriptor: int) -> None:
        fsync(descriptor)
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        flushed.append((kind, len(other_ledger.query("SELECT * FROM spool"))))

    outbox = Outbox(ledger)
    monkeypatch.setattr(os, "fsync", record_fsync)
    outbox.add(make_job(1), b"a photo", make_file("a.jpg"), b"a working photo")
    assert flushed == [("file", 0), ("file", 0), ("folder", 0)]
    assert len(outbox) == 1
    other_ledger.close()


@pytest.mark.parametrize("working_jpeg", [b"", b"a working photo"], ids=["submitted", "uploaded"])
def test_a_row_is_removed_from_the_disk_before_its_photo_is(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, working_jpeg: bytes
) -> None:
    """Seen failing: after a power cut the row was back without its photo, which was reported as a bug at each start.

    The test cannot cut the power, so it reads what SQLite is told.
    """
    outbox, steps, unlink = Outbox(ledger), list[str](), Path.unlink
    outbox.add(make_job(1), b"a photo", make_file("a.jpg"), working_jpeg)
    item = outbox.next_item()
    assert item

    def record_unlink(path: Path, missing_ok: bool = False) -> None:
        steps.append(f"unlink {path.suffix}")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", record_unlink)
    ledger._connection.set_trace_callback(steps.append)
    outbox.mark_submitted(item)
    if upload := outbox.next_upload():
        assert "unlink .jpg" not in steps
        steps.clear()
        outbox.mark_uploaded(upload)
    commit = steps.index("COMMIT", next(n for n, step in enumerate(steps) if step.startswith("DELETE FROM")))
    assert commit < steps.index("unlink .jpg")
    assert [step for step in steps[:commit] if "synchronous" in step][-1] == "PRAGMA synchronous=FULL"
    assert list((ledger.data_folder / "spool").iterdir()) == []


def test_the_ledger_remembers_a_file_in_the_state_it_was_taken_in(ledger: Ledger, settings: Settings) -> None:
    file = File(settings.inbox / "a.heic", FileVersion(1234, 5678))
    Outbox(ledger).add(make_job(1), b"", file)
    Outbox(ledger).add(make_job(1), b"", File(settings.inbox / "deep" / "b.heic", FileVersion(1, 2)))
    assert ledger.list_processed_files(settings.inbox)[file.path] == file.version
    assert ledger.list_processed_files(settings.inbox.with_name("inb")) == {}


def test_a_file_that_vanished_is_refused_all_the_same(ledger: Ledger, settings: Settings) -> None:
    reason_file = Outbox(ledger).add_refusal(
        File(settings.inbox / "gone.heic", FileVersion(0, 0)), "", "cannot be read"
    )
    assert reason_file == settings.data / "quarantine" / "unread-gone.heic.reason.txt"
    assert reason_file.read_text() == "gone.heic cannot be read.\n"


@pytest.mark.parametrize("fate", FILE_CHANGES)
def test_what_a_refused_file_became_meanwhile_keeps_nobody_waiting(fate: str, ledger: Ledger, tmp_path: Path) -> None:
    """Seen failing with shutil.copyfile: the data folder counted as full forever, and all other files waited."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"no")
    FILE_CHANGES[fate](path)
    outbox = Outbox(ledger)
    reason_file = outbox.add_refusal(File(path, FileVersion(1, 2)), "", "is not a picture")
    assert reason_file.read_text() == "a.jpg is not a picture.\n"
    assert list(reason_file.parent.iterdir()) == [reason_file]
    assert outbox.next_item() is not None


def test_what_a_link_leads_to_is_not_copied(ledger: Ledger, tmp_path: Path) -> None:
    """Seen failing with links followed: the secret was copied to the quarantine."""
    (tmp_path / "secret").write_text("swordfish")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "secret")
    reason_file = Outbox(ledger).add_refusal(File(tmp_path / "a.jpg", FileVersion(1, 2)), "", "is not a picture")
    assert list(reason_file.parent.iterdir()) == [reason_file]


@pytest.mark.whole_component
def test_an_outbox_entry_of_another_version_blocks_nothing_and_stays(
    producer_thread: ProducerThread, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing with unchecked jobs: the relay ended silently, and nothing was submitted any more."""
    outbox = Outbox(ledger)
    outbox.add(make_job(1), encode_jpeg(make_picture(1)), make_file("newer.heic"))
    with ledger.transaction() as db:
        db.execute("UPDATE spool SET job = replace(job, '\"version\":1', '\"version\":2')")
    producer_thread.start()
    (producer_thread.inbox / "a.jpg").write_bytes(encode_jpeg(make_picture(2)))
    wait_until(lambda: producer_thread.count_waiting() == 1)
    producer_thread.stop()
    assert len(outbox) == 1
    assert outbox.read_photo(OutboxItem(1, "", make_job(1).photo_id, None, "")) == encode_jpeg(make_picture(1))
    assert caplog.text.count("newer.heic waits in the spool for another version") == 1
    assert "Traceback" not in caplog.text
