"""Usage counts: each event is counted once, in its hour, and nothing personal is."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
import redis

from shared.broker.client import connect
from shared.jobs.events import Hidden, Shown
from shared.jobs.job import Job, Lane, Origin
from shared.jobs.table import JobTable
from shared.monitoring.usage_counts import (
    DAYS_IN_BROKER,
    HOUR_SECONDS,
    HOURS_PER_DAY,
    Counted,
    count,
    delete_old_usage_counts,
    format_day,
    persist_usage_counts,
    read_usage_counts,
    restore_usage_counts,
)
from shared.monitoring.usage_report import merge_counts
from shared.recipe.recipe import load_recipe
from shared.redis_keys import KEY_PREFIX, LEASES, USAGE_COUNTS_KEY, job_key
from shared.runtime_settings import update_runtime_settings
from shared.storage.object_names import USAGE_COUNTS_PREFIX, usage_counts_name
from shared.storage.store import Store
from tests.sidecars import make_sidecar
from tests.unread_message import UNREAD_MESSAGE
from tests.usage_evening import count_evening, read_hour

EVER = 2**31


@pytest.fixture
def table(client: redis.Redis) -> JobTable:
    return JobTable(client)


def make_job(seed: int = 0, **fields: object) -> Job:
    return Job.model_validate({"photo_id": "ab" * 32, "recipe": load_recipe("lines"), "seed": seed, **fields})


def read_counts(client: redis.Redis, store: Store) -> Counter[str]:
    """Return what was counted in all hours together, waiting times apart."""
    merged = merge_counts(read_usage_counts(client, store, 0, EVER).values())
    return Counter({name: number for name, number in merged.items() if not name.startswith("waited")})


def read_waits(client: redis.Redis, store: Store) -> Counter[str]:
    merged = merge_counts(read_usage_counts(client, store, 0, EVER).values())
    return Counter({name: number for name, number in merged.items() if name.startswith("waited")})


def complete(table: JobTable, job: Job) -> None:
    claim = table.claim(job, "worker-1")
    assert claim
    for _ in range(2):  # the reply was lost, and the worker asks again
        assert table.complete(claim, make_sidecar(job).to_completed_event())


def test_a_job_is_counted_once_however_often_it_is_sent_delivered_and_ended(
    client: redis.Redis, store: Store, table: JobTable
) -> None:
    job = make_job(origin=Origin.PHONE)
    for arrived_seconds_ago in (4.0, 5.0):
        table.accept(job, arrived_seconds_ago=arrived_seconds_ago, message=UNREAD_MESSAGE)
    first = table.claim(job, "worker-1")
    assert first
    client.zadd(LEASES, {job.id: 1})  # that worker was killed
    complete(table, job)
    assert not table.complete(first, make_sidecar(job).to_completed_event())
    assert table.claim(job, "worker-2") is None
    assert not table.accept(job).is_new
    assert read_counts(client, store) == {"accepted|phone|lines": 1, "completed|phone|lines": 1}
    assert read_waits(client, store).total() == 1


def test_a_job_that_is_tried_again_is_one_photo_one_failure_and_one_dream(
    client: redis.Redis, store: Store, table: JobTable
) -> None:
    job = make_job()
    table.accept(job)
    claim = table.claim(job, "worker-1")
    assert claim
    assert table.fail(claim, "It cannot be dreamt.")
    assert table.accept(job).is_new
    complete(table, job)
    expected = {"accepted|inbox|lines": 1, "failed|inbox|lines": 1, "completed|inbox|lines": 1}
    assert read_counts(client, store) == expected
    assert not read_waits(client, store)  # nobody said since when its guest waits


def test_jobs_are_told_apart_by_origin_and_recipe_and_no_deletion_changes_that(
    client: redis.Redis, store: Store, table: JobTable
) -> None:
    jobs = [
        make_job(1),
        make_job(2, origin=Origin.CONSOLE),
        make_job(3, lane=Lane.BATCH, recipe=load_recipe("animals")),
        make_job(4),
        make_job(5),  # deleted before it has ended
    ]
    for job in jobs:
        table.accept(job)
    for job in jobs[:3]:
        complete(table, job)
    assert table.cancel(jobs[3].id)
    for job in jobs:
        table.delete(job.id, job.photo_id)
    assert read_counts(client, store) == {
        **{f"{kind}|{label}": 1 for kind in ("accepted", "completed") for label in ("console|lines", "batch|animals")},
        **{"accepted|inbox|lines": 3, "completed|inbox|lines": 1, "cancelled|inbox|lines": 1},
    }


def test_the_wait_for_a_dream_that_needs_approval_ends_when_it_is_shown_for_the_first_time(
    client: redis.Redis, store: Store, table: JobTable
) -> None:
    update_runtime_settings(client, approval=True)
    job = make_job()
    table.accept(job, arrived_seconds_ago=60.0)
    complete(table, job)
    assert not read_waits(client, store)
    hidden = Hidden(job_id=job.id, photo_id=job.photo_id)
    completed = make_sidecar(job).to_completed_event()
    shown = Shown(job_id=job.id, photo_id=job.photo_id, completed=completed, dreamt_at=0.0)
    for _ in range(2):
        assert table.show(shown)
        assert table.hide(hidden)
    assert read_waits(client, store) == {"waited|inbox|48": 1}  # 60 s is between 2^(47/8) and 2^(48/8) s


def test_an_event_whose_reply_was_lost_is_not_counted_again(client: redis.Redis, store: Store) -> None:
    assert count(client, Counted.PRINTED, event_id="print job 7")
    assert not count(client, Counted.PRINTED, event_id="print job 7")
    assert count(client, Counted.PRINTED, event_id="print job 8")
    assert count(client, Counted.SAVED, event_id="print job 7")
    assert read_counts(client, store) == {"printed": 2, "saved": 1}


def test_an_event_that_is_counted_late_counts_in_the_hour_in_which_it_happened(
    client: redis.Redis, store: Store
) -> None:
    before = read_hour(client)
    count(client, Counted.OPENED, event_id="1", seconds_ago=2 * HOUR_SECONDS)
    assert list(read_usage_counts(client, store, 0, EVER)) in ([before - 2], [before - 1])  # the hour may have passed


@pytest.mark.parametrize("label", ["", "Ada Lovelace", "192.0.2.1", "a|b", "x" * 62, "a\n"])
def test_what_is_no_word_of_the_program_is_no_label(client: redis.Redis, label: str) -> None:
    with pytest.raises(ValueError, match="no labels of a count"):
        count(client, Counted.REFUSED, Origin.PHONE, label, event_id="1")
    assert not client.exists(USAGE_COUNTS_KEY)


def test_a_wiped_broker_gets_its_counts_back_once_and_keeps_what_it_counted_meanwhile(
    client: redis.Redis, store: Store, broker_url: str
) -> None:
    """Seen failing without the mark: each display added the persisted counts."""
    count_evening(client, 40)
    persist_usage_counts(client, store)
    before = merge_counts(read_usage_counts(client, store, 0, EVER).values())
    client.flushall()
    count(client, Counted.SAVED, event_id="meanwhile")

    def restore(_: int) -> bool:
        with connect(broker_url) as display_client:
            persist_usage_counts(display_client, store)
            return restore_usage_counts(display_client, store)

    with ThreadPoolExecutor(8) as executor:  # as many displays
        assert not any(executor.map(restore, range(16)))
    assert merge_counts(read_usage_counts(client, store, 0, EVER).values()) == before + Counter({"saved": 1})


def test_what_is_counted_late_for_a_day_that_was_dropped_replaces_nothing(client: redis.Redis, store: Store) -> None:
    """Seen failing: a display that persisted an old day while it was counted left its earlier hours out."""
    hour = read_hour(client) - DAYS_IN_BROKER * HOURS_PER_DAY
    for late, name in enumerate(("opened", "saved")):
        client.hincrby(USAGE_COUNTS_KEY, f"{hour + late}|{name}", 2)
        client.hincrby(USAGE_COUNTS_KEY, f"{hour}|{name}", 1)
        persist_usage_counts(client, store)
    assert read_counts(client, store) == {"opened": 3, "saved": 3}


def test_a_wiped_broker_does_not_wipe_the_store(client: redis.Redis, store: Store) -> None:
    count_evening(client, 20)
    persist_usage_counts(client, store)
    before = {entry.name: store.get(entry.name) for entry in store.list_objects(USAGE_COUNTS_PREFIX)}
    client.flushall()
    persist_usage_counts(client, store)
    assert {entry.name: store.get(entry.name) for entry in store.list_objects(USAGE_COUNTS_PREFIX)} == before


def test_a_job_that_a_wiped_broker_lost_is_not_counted_again(
    client: redis.Redis, store: Store, table: JobTable
) -> None:
    job = make_job()
    table.accept(job)
    persist_usage_counts(client, store)
    client.flushall()
    restore_usage_counts(client, store)
    table.accept(job, is_counted=True)
    complete(table, job)
    assert read_counts(client, store) == {"accepted|inbox|lines": 1, "completed|inbox|lines": 1}


def test_the_broker_keeps_the_last_days_and_the_store_all(client: redis.Redis, store: Store) -> None:
    now = read_hour(client)
    for days_ago in (0, 1, 5, 30):
        hour = now - days_ago * HOURS_PER_DAY
        client.hset(USAGE_COUNTS_KEY, f"{hour}|opened", days_ago + 1)
    expected = {now - days_ago * HOURS_PER_DAY: Counter(opened=days_ago + 1) for days_ago in (30, 5, 1, 0)}
    assert read_usage_counts(client, store, 0, EVER) == expected
    for _ in range(2):
        persist_usage_counts(client, store)
        assert read_usage_counts(client, store, 0, EVER) == expected
    hours = {int(field.partition("|")[0]) for field in map(str, client.hgetall(USAGE_COUNTS_KEY)) if "|" in field}
    assert hours == {now, now - HOURS_PER_DAY}
    assert len(list(store.list_objects(USAGE_COUNTS_PREFIX))) == 4
    assert list(read_usage_counts(client, store, now - 6 * HOURS_PER_DAY, now - HOURS_PER_DAY)) == [
        now - 5 * HOURS_PER_DAY,
        now - HOURS_PER_DAY,
    ]


def test_counts_are_deleted_after_as_many_days_as_the_setting_says(client: redis.Redis, store: Store) -> None:
    today = read_hour(client) // HOURS_PER_DAY
    names = {days_ago: usage_counts_name(format_day(today - days_ago)) for days_ago in (0, 10, 11, 400)}
    for name in names.values():
        store.put(name, b"{}")
    assert delete_old_usage_counts(client, store, 0) == 0
    assert delete_old_usage_counts(client, store, 10) == 2
    assert {entry.name for entry in store.list_objects(USAGE_COUNTS_PREFIX)} == {names[0], names[10]}


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'{"version": 2, "hours": {}}', b'{"hours": {"25": {}}}', b'{"hours": {"1": {"Ada": 1}}}']
)
def test_a_damaged_day_is_left_out_and_said(
    client: redis.Redis, store: Store, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    today = read_hour(client) // HOURS_PER_DAY
    store.put(usage_counts_name(format_day(today)), text)
    assert restore_usage_counts(client, store)
    assert read_usage_counts(client, store, 0, EVER) == {}
    assert "in the store cannot be read" in caplog.text


def test_fields_of_another_version_are_left_alone(client: redis.Redis, store: Store) -> None:
    client.hset(USAGE_COUNTS_KEY, mapping={"x": "1", "12|opened": "many", "|saved": "3"})
    assert read_usage_counts(client, store, 0, EVER) == {}


def test_days_are_those_of_utc() -> None:
    assert format_day(0) == "1970-01-01"
    assert format_day(20_786) == date(2026, 11, 29).isoformat()
    assert DAYS_IN_BROKER >= 2  # an evening passes midnight


def test_nothing_of_a_guest_is_in_any_count(client: redis.Redis, store: Store) -> None:
    """The labels are words and recipes; the marks are hashes, hold nothing, and expire."""
    evening = count_evening(client, 60)
    persist_usage_counts(client, store)
    for field, number in client.hgetall(USAGE_COUNTS_KEY).items():
        assert field == "restored" or re.fullmatch(r"\d{6}\|[a-z]+(\|[a-z-]+\|[a-z0-9_-]+)?", str(field))
        assert str(number).isdecimal()
    marks = list(client.scan_iter(f"{KEY_PREFIX}counted:*"))
    assert marks
    assert all(client.get(mark) == "" and 0 < client.ttl(mark) <= HOUR_SECONDS for mark in marks)
    texts = [*marks, *client.hgetall(USAGE_COUNTS_KEY)]
    texts += [(store.get(entry.name) or b"").decode() for entry in store.list_objects(USAGE_COUNTS_PREFIX)]
    job_ids = [key.removeprefix(job_key("")) for key in client.scan_iter(job_key("*"))]
    assert len(job_ids) == evening.photos
    assert not [job_id for job_id in job_ids if any(job_id[:8] in text for text in texts)]
