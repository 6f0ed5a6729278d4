"""The report of the usage counts: sums, percentiles, days that end in the morning, and a CSV."""

import csv
import io
import math
import statistics
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.job import Origin
from shared.monitoring.usage_counts import HOUR_SECONDS, read_usage_counts
from shared.monitoring.usage_report import (
    BUCKETS_PER_DOUBLING,
    UsageRow,
    begin_day,
    estimate_percentile,
    find_day,
    format_csv,
    make_rows,
    merge_counts,
    merge_wait_buckets,
    sum_rows,
    trim_hours,
)
from shared.storage.store import Store
from tests.usage_evening import count_evening

BERLIN = ZoneInfo("Europe/Berlin")


def to_hour(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() // HOUR_SECONDS)


def find_bucket(seconds: float) -> int:
    """Return the bucket that counting.lua chooses."""
    return min(math.ceil(BUCKETS_PER_DOUBLING * math.log2(max(seconds, 1))), 136)


WAITS = st.lists(st.floats(1.0, 90_000.0), min_size=1, max_size=60)


@given(hours=st.lists(WAITS, min_size=1, max_size=5), fraction=st.floats(0.01, 1.0))
def test_a_percentile_of_hours_that_were_merged_is_the_true_one_within_its_bucket(
    hours: list[list[float]], fraction: float
) -> None:
    counts = [Counter(f"waited|phone|{find_bucket(wait)}" for wait in waits) for waits in hours]
    buckets = merge_wait_buckets(merge_counts(counts), [Origin.PHONE])
    waits = sorted(wait for waits in hours for wait in waits)
    true_wait = waits[max(1, math.ceil(fraction * len(waits))) - 1]
    estimate = estimate_percentile(buckets, fraction)
    assert estimate is not None
    assert abs(math.log2(estimate / true_wait)) <= 0.5 / BUCKETS_PER_DOUBLING + 0.01  # 4.5 %, and two decimals


def test_without_a_dream_there_is_no_waiting_time() -> None:
    assert estimate_percentile({}, 0.5) is None


def test_an_evening_is_reported_as_it_was(client: redis.Redis, store: Store) -> None:
    evening = count_evening(client, 120)
    last_hour = evening.first_hour + 4
    counts = read_usage_counts(client, store, evening.first_hour, last_hour)
    total = sum_rows(counts, evening.first_hour)
    assert (total.photos, total.dreams, total.failed) == (evening.photos, evening.dreams, evening.failed)
    assert (total.links_opened, total.dreams_saved, total.prints) == (evening.opened, evening.saved, evening.printed)
    assert (total.refused, sum(total.refused_by_cause.values())) == (evening.refused, evening.refused)
    assert sum(total.photos_by_recipe.values()) == evening.photos
    assert list(total.photos_by_recipe.values()) == sorted(total.photos_by_recipe.values(), reverse=True)
    waits = [wait for hour_waits in evening.waits.values() for wait in hour_waits]
    assert total.wait_median_seconds == pytest.approx(statistics.median_low(waits), rel=0.06)
    rows = make_rows(counts, evening.first_hour, last_hour)
    for name in ("photos_inbox", "photos_phone", "dreams", "refused", "links_opened", "prints"):
        assert sum(getattr(row, name) for row in rows) == getattr(total, name)


def test_the_csv_has_a_row_for_each_hour_also_for_those_without_events(client: redis.Redis, store: Store) -> None:
    evening = count_evening(client, 40)
    first_hour, last_hour = evening.first_hour - 1, evening.first_hour + 4
    rows = make_rows(read_usage_counts(client, store, first_hour, last_hour), first_hour, last_hour, UTC)
    lines = list(csv.DictReader(io.StringIO(format_csv(rows))))
    assert list(lines[0]) == list(UsageRow._fields)
    assert [line["hour_utc"] for line in lines] == [row.hour_utc for row in rows]
    assert len(lines) == 6
    assert lines[0]["photos_inbox"] == "0"
    assert lines[0]["wait_median_seconds"] == ""
    for line, row in zip(lines, rows, strict=True):
        assert int(line["dreams"]) == row.dreams
        pairs = dict(pair.split("=") for pair in line["photos_by_recipe"].split())
        assert {name: int(number) for name, number in pairs.items()} == row.photos_by_recipe


def test_the_hour_that_is_there_twice_when_clocks_are_set_back_has_two_rows() -> None:
    first_hour = to_hour("2026-10-25T00:00+00:00")
    rows = make_rows({first_hour + 1: Counter(opened=1)}, first_hour, first_hour + 1, BERLIN)
    assert [row.hour_utc for row in rows] == ["2026-10-25T00:00Z", "2026-10-25T01:00Z"]
    assert [row.hour_local for row in rows] == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]
    assert [row.links_opened for row in rows] == [0, 1]


def test_a_zone_of_half_an_hour_has_its_own_local_time() -> None:
    [row] = make_rows(
        {}, to_hour("2026-11-29T12:00+00:00"), to_hour("2026-11-29T12:00+00:00"), ZoneInfo("Asia/Kolkata")
    )
    assert row.hour_local == "2026-11-29T17:30+05:30"


def test_an_evening_that_passes_midnight_is_one_day() -> None:
    hours = [to_hour(text) for text in ("2026-11-29T18:00+01:00", "2026-11-30T02:00+01:00", "2026-11-30T06:00+01:00")]
    assert [find_day(hour, BERLIN) for hour in hours] == [date(2026, 11, 29), date(2026, 11, 29), date(2026, 11, 30)]


@given(st.dates(date(2000, 1, 1), date(2050, 1, 1)), st.sampled_from([BERLIN, UTC, ZoneInfo("America/New_York")]))
def test_each_hour_belongs_to_the_day_that_began_last(day: date, zone: ZoneInfo) -> None:
    first_hour, next_hour = begin_day(day, zone), begin_day(day + timedelta(days=1), zone)
    assert next_hour - first_hour in (23, 24, 25)
    assert {find_day(hour, zone) for hour in range(first_hour, next_hour)} == {day}


def test_hours_before_the_first_event_and_after_the_last_are_left_out() -> None:
    counts = {5: Counter(opened=1), 7: Counter(saved=1), 9: Counter[str]()}
    assert trim_hours(counts, 0, 20) == (5, 7)
    assert trim_hours({}, 0, 20) == (0, 20)
