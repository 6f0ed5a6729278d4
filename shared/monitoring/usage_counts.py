"""Usage counts: how often something happened in each hour, and nothing about anybody.

A count has an hour, a kind and labels: `accepted|phone|lines`. Kinds and labels are words of the program and names of
recipes; no id, address or name of a file gets in. The broker has the counts of the last days, the store those of all
days, one object each, from which a wiped broker is restored.
"""

import hashlib
import json
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum
from importlib.resources import files
from typing import Annotated, Literal, cast

import redis
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.redis_keys import USAGE_COUNTS_KEY, counted_key, job_key
from shared.storage.object_names import USAGE_COUNTS_PREFIX, usage_counts_name
from shared.storage.store import Store

logger = logging.getLogger(__name__)


class Counted(StrEnum):
    """A kind of event that is counted. Scripts of the job table count those of jobs, in the step that records them."""

    ACCEPTED = "accepted"  # |origin|recipe: a photo was accepted, for the first time
    COMPLETED = "completed"  # |origin|recipe
    FAILED = "failed"  # |origin|recipe
    CANCELLED = "cancelled"  # |origin|recipe
    WAITED = "waited"  # |origin|bucket: a dream was shown so long after its photo arrived
    REFUSED = "refused"  # |origin|cause: a file did not become a photo
    OPENED = "opened"  # a phone opened the link of a QR code
    SAVED = "saved"  # a guest saved a dream on the phone
    PRINTED = "printed"  # a dream was printed
    COMPARED = "compared"  # |comparison|arm-what: of a recipe that has a canary
    DREAMT = "dreamt"  # |comparison|arm-bucket: the time that a compared dream took


#: Cause of a refusal for which guests have no text.
OTHER_CAUSE = "other"

#: The functions of scripts that count, to be put before their text.
COUNTING_FUNCTIONS = files("shared.monitoring").joinpath("lua", "counting.lua").read_text(encoding="utf-8")

_COUNT_SCRIPT = COUNTING_FUNCTIONS + files("shared.monitoring").joinpath("lua", "count.lua").read_text(encoding="utf-8")
_RESTORE_SCRIPT = files("shared.monitoring").joinpath("lua", "restore_counts.lua").read_text(encoding="utf-8")

#: Seconds for which the same event is not counted again.
COUNTED_TTL_SECONDS = 3600

#: Days, today included, whose counts the broker has. Earlier ones are in the store only, where they cannot change.
DAYS_IN_BROKER = 3

HOURS_PER_DAY, HOUR_SECONDS = 24, 3600

#: Field that marks the broker's counts as complete; a wiped broker does not have it.
_RESTORED_FIELD = "restored"

_LABEL = re.compile("[a-z0-9][a-z0-9_-]{0,60}", re.ASCII)

#: Hour, in hours since 1970 (UTC) → number of events by name, the kind and labels joined by `|`.
UsageCounts = dict[int, Counter[str]]

CountName = Annotated[str, StringConstraints(pattern=r"^[a-z]+(\|[a-z0-9][a-z0-9_-]{0,60}){0,2}$")]


class CountsOfDay(BaseModel):
    """The usage counts of one day (UTC), as the store has them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    #: Hour of the day, 0 to 23 → number of events by name.
    hours: dict[Annotated[int, Field(ge=0, lt=HOURS_PER_DAY)], dict[CountName, Annotated[int, Field(gt=0)]]]


def count(
    client: redis.Redis, kind: Counted, *labels: str, event_id: str, seconds_ago: float = 0.0, job_id: str = ""
) -> bool:
    """Count one event; False if it was counted within the last hour. Repeating a call that failed is safe.

    labels: as `Counted` lists them. event_id: what tells the event from all others of its kind; only a hash of it is
    kept, for an hour. seconds_ago: since it happened. job_id: of the dream that it happened to; in the
    comparison of its recipe, if any, each kind of event counts once. Raises ValueError for an invalid label, and
    RedisError.
    """
    name = make_name(kind, *labels)
    digest = hashlib.sha256(f"{name} {event_id}".encode()).hexdigest()[:24]
    script = client.register_script(_COUNT_SCRIPT)
    keys = [USAGE_COUNTS_KEY, counted_key(digest), *([job_key(job_id)] if job_id else [])]
    return bool(script(keys=keys, args=[name, f"{seconds_ago:.3f}", COUNTED_TTL_SECONDS, kind]))


def make_name(kind: Counted, *labels: str) -> str:
    """Return the name of a count. Raises ValueError for a label that may not be one."""
    if not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"no labels of a count: {labels!r}")
    return "|".join((kind, *labels))


def restore_usage_counts(client: redis.Redis, store: Store) -> bool:
    """Restore the counts of a wiped broker from the store; False if it has them. Raises RedisError and StoreError."""
    if client.hexists(USAGE_COUNTS_KEY, _RESTORED_FIELD):
        return False
    today = _read_broker_day(client)
    persisted = _read_days(store, range(today - DAYS_IN_BROKER + 1, today + 1))
    pairs: list[str | int] = []
    for hour, counts in persisted.items():
        for name, number in counts.items():
            pairs += [f"{hour}|{name}", number]
    script = client.register_script(_RESTORE_SCRIPT)
    return bool(script(keys=[USAGE_COUNTS_KEY], args=[_RESTORED_FIELD, *pairs]))


def persist_usage_counts(client: redis.Redis, store: Store) -> None:
    """Write the counts of each day in the broker to the store, if they differ, and drop old days from the broker.

    A wiped broker is restored first. Several displays may call it at the same time. Raises RedisError and StoreError.
    """
    restore_usage_counts(client, store)
    days: defaultdict[int, UsageCounts] = defaultdict(dict)
    for hour, counts in _read_broker_counts(client).items():
        days[hour // HOURS_PER_DAY][hour] = counts
    oldest_day = _read_broker_day(client) - DAYS_IN_BROKER + 1
    for day, counts_of_day in days.items():
        if day < oldest_day:  # what was counted since it was dropped must not replace the others
            counts_of_day = _unite(_read_days(store, [day]), counts_of_day)
        name, text = usage_counts_name(format_day(day)), _format_counts_of_day(counts_of_day)
        if store.get(name) != text:
            store.put(name, text)
        if day < oldest_day:
            dropped = (f"{hour}|{name}" for hour, numbers in counts_of_day.items() for name in numbers)
            client.hdel(USAGE_COUNTS_KEY, *dropped)


def delete_old_usage_counts(client: redis.Redis, store: Store, days: int) -> int:
    """Delete the counts of days that are more than `days` ago from the store, none if that is 0; return their number.

    Raises RedisError and StoreError.
    """
    if not days:
        return 0
    oldest_name = usage_counts_name(format_day(_read_broker_day(client) - days))
    old_names = [entry.name for entry in store.list_objects(USAGE_COUNTS_PREFIX) if entry.name < oldest_name]
    for name in old_names:
        store.delete(name)
    return len(old_names)


def read_usage_counts(client: redis.Redis, store: Store, first_hour: int, last_hour: int) -> UsageCounts:
    """Return the counts of the hours from `first_hour` to `last_hour`, both included; hours without events are missing.

    A wiped broker is restored first. Raises RedisError and StoreError.
    """
    restore_usage_counts(client, store)
    in_broker = _read_broker_counts(client)
    oldest_day = _read_broker_day(client) - DAYS_IN_BROKER + 1
    days = range(first_hour // HOURS_PER_DAY, min(last_hour // HOURS_PER_DAY + 1, oldest_day))
    # A day that the broker has not dropped yet may not be in the store.
    counts = _unite(_read_days(store, days), in_broker)
    return {hour: counts[hour] for hour in sorted(counts) if first_hour <= hour <= last_hour}


def format_day(day: int) -> str:
    """Return a day, in days since 1970 (UTC), as `2026-11-29`."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def _read_broker_day(client: redis.Redis) -> int:
    """Return today by the broker's clock, in days since 1970 (UTC)."""
    seconds, _ = client.time()
    return seconds // HOUR_SECONDS // HOURS_PER_DAY


def _read_broker_counts(client: redis.Redis) -> UsageCounts:
    """Return the counts of the broker; fields of another version are left out."""
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for field, number in cast("dict[str, str]", client.hgetall(USAGE_COUNTS_KEY)).items():
        hour, _, name = field.partition("|")
        if hour.isdecimal() and number.isdecimal() and name:
            counts[int(hour)][name] = int(number)
    return dict(counts)


def _format_counts_of_day(counts: UsageCounts) -> bytes:
    hours = {hour % HOURS_PER_DAY: dict(sorted(counts[hour].items())) for hour in sorted(counts)}
    return json.dumps({"version": 1, "hours": hours}, indent=1).encode()


def _unite(stored: UsageCounts, counted: UsageCounts) -> UsageCounts:
    """Return the counts of store and broker; the larger of two: a day in both has been stored, but not yet dropped."""
    return {hour: stored.get(hour, Counter()) | counted.get(hour, Counter()) for hour in stored.keys() | counted.keys()}


def _read_days(store: Store, days: Iterable[int]) -> UsageCounts:
    """Return the counts of days that are in the store; a day that cannot be read is logged and left out."""
    names = {usage_counts_name(format_day(day)): day for day in days}
    if len(names) > DAYS_IN_BROKER:  # an exhibition is closed on most of them
        names = {
            entry.name: names[entry.name] for entry in store.list_objects(USAGE_COUNTS_PREFIX) if entry.name in names
        }
    counts: UsageCounts = {}
    for name, day in names.items():
        text = store.get(name)
        if text is None:
            continue
        try:
            hours = CountsOfDay.model_validate_json(text).hours
        except ValidationError as error:
            logger.warning(
                "%s in the store cannot be read, so its counts are missing: %s", name, error.errors()[0]["msg"]
            )
            continue
        counts |= {HOURS_PER_DAY * day + hour: Counter(numbers) for hour, numbers in hours.items()}
    return counts
