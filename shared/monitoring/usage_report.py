"""Usage report: what the usage counts of some hours say, for the console, the terminal and as CSV."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from shared.jobs.job import Origin
from shared.monitoring.usage_counts import HOUR_SECONDS, Counted, UsageCounts

#: Buckets of waiting times for each doubling of the time; bucket b ends at 2^(b / 8) s.
BUCKETS_PER_DOUBLING = 8

#: Local hour at which a day of the exhibition begins: an evening that ends after midnight is one day.
DAY_BEGINS_AT_HOUR = 6

#: Those who wait for their dreams.
GUEST_ORIGINS = (Origin.INBOX, Origin.PHONE)


class UsageRow(NamedTuple):
    """What happened in an hour, or in several. Field names are the columns of the CSV, and do not change."""

    #: ISO 8601, in UTC and in the local time of the exhibition.
    hour_utc: str
    hour_local: str
    #: Photos that were accepted, by origin; a photo counts once for each recipe that it is dreamt with.
    photos_inbox: int
    photos_phone: int
    photos_console: int
    photos_batch: int
    photos_api: int
    dreams: int
    failed: int
    cancelled: int
    refused: int
    #: Seconds from the arrival of a guest's photo until its dream was shown; None if no dream was.
    wait_median_seconds: float | None
    wait_95_percent_seconds: float | None
    links_opened: int
    dreams_saved: int
    prints: int
    #: Recipe or cause → number, the most frequent first. As CSV: `lines=3 curls=1`.
    photos_by_recipe: dict[str, int]
    failed_by_recipe: dict[str, int]
    refused_by_cause: dict[str, int]
    #: What happened in comparisons of recipes: `night_1_2|candidate-saved`.
    compared: dict[str, int]

    @property
    def photos(self) -> int:
        """Photos of all origins."""
        return sum(getattr(self, f"photos_{origin}") for origin in Origin)


def make_rows(counts: UsageCounts, first_hour: int, last_hour: int, zone: tzinfo | None = None) -> list[UsageRow]:
    """Return a row for each hour from the first to the last, both included, also for those without events.

    zone: of the local time; None: this machine's.
    """
    return [_make_row(counts.get(hour, {}), hour, zone) for hour in range(first_hour, last_hour + 1)]


def sum_rows(counts: UsageCounts, first_hour: int, zone: tzinfo | None = None) -> UsageRow:
    """Return one row with the sums of all hours, and the percentiles of all waiting times. first_hour: its hour."""
    return _make_row(merge_counts(counts.values()), first_hour, zone)


def trim_hours(counts: UsageCounts, first_hour: int, last_hour: int) -> tuple[int, int]:
    """Return the first and the last hour with events; the hours that are given, if there are none."""
    hours = [hour for hour, numbers in counts.items() if numbers and first_hour <= hour <= last_hour]
    return (min(hours), max(hours)) if hours else (first_hour, last_hour)


def merge_counts(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Return the sums of the counts of several hours."""
    merged: Counter[str] = Counter()
    for numbers in counts:
        merged.update(numbers)
    return merged


def _make_row(counts: Mapping[str, int], hour: int, zone: tzinfo | None) -> UsageRow:
    waits = merge_wait_buckets(counts, GUEST_ORIGINS)
    photos = _sum_by_label(counts, Counted.ACCEPTED, 1)
    refused = _sum_by_label(counts, Counted.REFUSED, 2)
    failed = _sum_by_label(counts, Counted.FAILED, 2)
    return UsageRow(
        hour_utc=to_datetime(hour, UTC).strftime("%Y-%m-%dT%H:%MZ"),
        hour_local=to_datetime(hour, zone).isoformat(timespec="minutes"),
        photos_inbox=photos[Origin.INBOX],
        photos_phone=photos[Origin.PHONE],
        photos_console=photos[Origin.CONSOLE],
        photos_batch=photos[Origin.BATCH],
        photos_api=photos[Origin.API],
        dreams=_sum_by_label(counts, Counted.COMPLETED, 1).total(),
        failed=failed.total(),
        cancelled=_sum_by_label(counts, Counted.CANCELLED, 1).total(),
        refused=refused.total(),
        wait_median_seconds=estimate_percentile(waits, 0.5),
        wait_95_percent_seconds=estimate_percentile(waits, 0.95),
        links_opened=counts.get(Counted.OPENED, 0),
        dreams_saved=counts.get(Counted.SAVED, 0),
        prints=counts.get(Counted.PRINTED, 0),
        photos_by_recipe=dict(_sum_by_label(counts, Counted.ACCEPTED, 2).most_common()),
        failed_by_recipe=dict(failed.most_common()),
        refused_by_cause=dict(refused.most_common()),
        compared={"|".join(labels): number for labels, number in sorted(iter_kind(counts, Counted.COMPARED))},
    )


def merge_wait_buckets(counts: Mapping[str, int], origins: Iterable[Origin]) -> Counter[int]:
    """Return the number of waiting times in each bucket, over some origins."""
    buckets: Counter[int] = Counter()
    for origin in origins:
        for labels, number in iter_kind(counts, Counted.WAITED):
            if labels[0] == origin and labels[-1].isdecimal():
                buckets[int(labels[-1])] += number
    return buckets


def estimate_percentile(buckets: Mapping[int, int], fraction: float) -> float | None:
    """Return the smallest waiting time in seconds that `fraction` (0 to 1) of them do not exceed; None without any.

    It is the geometric middle of the bucket in which that time lies, so at most 4.5 % away from it.
    """
    rank = max(1, math.ceil(fraction * sum(buckets.values())))
    for bucket in sorted(buckets):
        rank -= buckets[bucket]
        if rank <= 0:
            return round(2 ** ((bucket - 0.5) / BUCKETS_PER_DOUBLING), 2)
    return None


def to_datetime(hour: int, zone: tzinfo | None) -> datetime:
    """Return the beginning of an hour, given in hours since 1970 (UTC). zone: None for this machine's."""
    return datetime.fromtimestamp(hour * HOUR_SECONDS, UTC).astimezone(zone)


def find_day(hour: int, zone: tzinfo | None) -> date:
    """Return the exhibition's day of an hour, which began in the morning. zone: None for this machine's."""
    return (to_datetime(hour, zone) - timedelta(hours=DAY_BEGINS_AT_HOUR)).date()


def begin_day(day: date, zone: tzinfo | None) -> int:
    """Return the hour at which a day of the exhibition begins. zone: None for this machine's."""
    begin = datetime(day.year, day.month, day.day, DAY_BEGINS_AT_HOUR, tzinfo=zone)
    return int(begin.timestamp() // HOUR_SECONDS)  # without a zone it is this machine's


def format_csv(rows: Iterable[UsageRow]) -> str:
    """Return rows as CSV with a header (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(UsageRow._fields)
    writer.writerows(map(_format_fields, rows))
    return text.getvalue()


def _format_fields(row: UsageRow) -> Iterator[object]:
    for value in row:
        yield " ".join(f"{name}={number}" for name, number in value.items()) if isinstance(value, dict) else value


def _sum_by_label(counts: Mapping[str, int], kind: Counted, index: int) -> Counter[str]:
    """Return the counts of a kind by one of its labels. index: from 1."""
    sums: Counter[str] = Counter()
    for labels, number in iter_kind(counts, kind):
        if len(labels) >= index:
            sums[labels[index - 1]] += number
    return sums


def iter_kind(counts: Mapping[str, int], kind: Counted) -> Iterator[tuple[list[str], int]]:
    """Yield labels and number of each count of a kind that has labels."""
    for name, number in counts.items():
        name_kind, _, labels = name.partition("|")
        if name_kind == kind and labels:
            yield labels.split("|"), number
