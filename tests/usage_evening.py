"""An evening of the exhibition, counted by the functions that count a real one."""

import random
from dataclasses import dataclass, field

import redis

from shared.jobs.events import Stage
from shared.jobs.job import Job, Lane, Origin
from shared.jobs.table import JobTable
from shared.monitoring.usage_counts import HOUR_SECONDS, Counted, count
from shared.recipe.canary import Arm, Canary
from shared.recipe.recipe import load_recipe
from shared.redis_keys import USAGE_COUNTS_KEY
from tests.sidecars import make_sidecar
from tests.unread_message import UNREAD_MESSAGE

#: Share of the photos in each hour, and the median waiting time then in seconds: the crowd comes in the third hour.
HOURS = ((0.10, 4.0), (0.22, 5.0), (0.34, 11.0), (0.24, 6.0), (0.10, 4.0))

RECIPES = (
    *(
        "more-vincent-van-gogh",
        "more-paul-klee",
        "more-pablo-picasso",
        "more-william-turner",
        "more-vasiliy-kandinskiy",
    ),
    *("animals", "night", "spirals", "woodcut", "curls"),
)


@dataclass
class Evening:
    """What happened, as it was made to happen."""

    first_hour: int = 0
    photos: int = 0
    dreams: int = 0
    failed: int = 0
    opened: int = 0
    saved: int = 0
    printed: int = 0
    refused: int = 0
    #: Seconds that guests waited, by hour.
    waits: dict[int, list[float]] = field(default_factory=dict)


def read_hour(client: redis.Redis) -> int:
    """Return the present hour by the broker's clock, in hours since 1970 (UTC)."""
    seconds, _ = client.time()
    return seconds // HOUR_SECONDS


def move_counts(client: redis.Redis, since_hour: int, to_hour: int) -> None:
    """Let what was counted in an hour since `since_hour`, other than `to_hour`, have happened in `to_hour`."""
    for field_name, number in client.hgetall(USAGE_COUNTS_KEY).items():
        hour, _, name = str(field_name).partition("|")
        if hour.isdecimal() and int(hour) >= since_hour and int(hour) != to_hour:
            client.hincrby(USAGE_COUNTS_KEY, f"{to_hour}|{name}", int(number))
            client.hdel(USAGE_COUNTS_KEY, field_name)


def count_evening(client: redis.Redis, photos: int, last_hour: int | None = None, seed: int = 1) -> Evening:
    """Let photos come over five hours. last_hour: in hours since 1970 (UTC); None: the present one.

    Nothing may have been counted in the present hour before. The jobs are in the job table afterwards.
    """
    chance, table, evening = random.Random(seed), JobTable(client), Evening()
    now = read_hour(client)
    evening.first_hour = (now if last_hour is None else last_hour) - len(HOURS) + 1
    number = 0
    for index, (share, median) in enumerate(HOURS):
        hour = evening.first_hour + index
        for _ in range(round(share * photos)):
            number += 1
            wait = median * chance.lognormvariate(0, 0.45)
            _count_photo(client, table, chance, evening, f"{seed * 1_000_000 + number:064x}", hour, wait)
        move_counts(client, now, hour)  # the last one, too: the present hour may have passed meanwhile
    return evening


def _count_photo(
    client: redis.Redis,
    table: JobTable,
    chance: random.Random,
    evening: Evening,
    photo_id: str,
    hour: int,
    wait: float,
) -> None:
    origin = chance.choices([Origin.INBOX, Origin.PHONE, Origin.CONSOLE], [62, 35, 3])[0]
    recipe = load_recipe(chance.choices(RECIPES, range(len(RECIPES), 0, -1))[0])
    job = Job(photo_id=photo_id, recipe=recipe, lane=Lane.LIVE, origin=origin)
    table.accept(job, arrived_seconds_ago=wait if origin is not Origin.CONSOLE else None, message=UNREAD_MESSAGE)
    evening.photos += 1
    claim = table.claim(job, "worker-1")
    assert claim
    if chance.random() < 0.01:
        evening.failed += table.fail(claim, "It cannot be dreamt.")
    else:
        assert table.complete(claim, make_sidecar(job).to_completed_event())
        evening.dreams += 1
        if origin is not Origin.CONSOLE:
            evening.waits.setdefault(hour, []).append(wait)
    for kind, probability in ((Counted.OPENED, 0.6), (Counted.SAVED, 0.4), (Counted.PRINTED, 0.15)):
        if chance.random() < probability:
            count(client, kind, event_id=f"{photo_id}")
            name = kind.value
            setattr(evening, name, getattr(evening, name) + 1)
    if chance.random() < 0.05:
        cause = chance.choice(["too_large", "no_picture", "damaged", "too_many"])
        count(client, Counted.REFUSED, Origin.PHONE, cause, event_id=photo_id)
        evening.refused += 1


def count_comparison(client: redis.Redis, photos: int, percent: int, seed: int = 900) -> Canary:
    """Let photos come while a new version of “night” is tried out that is slower, and that guests save more often."""
    chance, table, night = random.Random(seed), JobTable(client), load_recipe("night")
    canary = Canary(candidate=night.model_copy(update={"version": night.version + 1}), percent=percent)
    for number in range(photos):
        photo_id = f"{seed * 1_000_000 + number:064x}"
        recipe, comparison = canary.assign(night, photo_id)
        assert comparison
        is_new = comparison.arm is Arm.CANDIDATE
        job = Job(photo_id=photo_id, recipe=recipe, comparison=comparison)
        table.accept(job, arrived_seconds_ago=5.0, message=UNREAD_MESSAGE)
        claim = table.claim(job, "worker-1")
        assert claim
        if chance.random() < 0.01:
            assert table.fail(claim, "It cannot be dreamt.")
            continue
        stages = {Stage.DREAM: (4.6 if is_new else 3.4) * chance.lognormvariate(0, 0.15)}
        assert table.complete(claim, make_sidecar(job).to_completed_event().model_copy(update={"stages": stages}))
        for kind, probability in (
            (Counted.OPENED, 0.6),
            (Counted.SAVED, 0.7 if is_new else 0.4),
            (Counted.PRINTED, 0.15),
        ):
            if chance.random() < probability:
                count(client, kind, event_id=photo_id, job_id=job.id)
    return canary
