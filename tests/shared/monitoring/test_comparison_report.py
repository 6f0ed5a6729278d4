"""Comparisons: counted with the jobs, each dream once, and judged by intervals from the literature."""

import pytest
import redis

from shared.jobs.events import Stage
from shared.jobs.job import Job
from shared.jobs.table import JobTable
from shared.monitoring.comparison_report import (
    ComparisonNumbers,
    Share,
    find_difference,
    list_comparisons,
    make_share,
)
from shared.monitoring.usage_counts import Counted, count, persist_usage_counts, read_usage_counts
from shared.monitoring.usage_report import merge_counts, sum_rows
from shared.printing.prints import Print
from shared.printing.table import PrintTable
from shared.recipe.canary import Arm, Canary
from shared.recipe.recipe import load_recipe
from shared.storage.store import Store
from tests.sidecars import make_sidecar
from tests.unread_message import UNREAD_MESSAGE
from tests.usage_evening import read_hour

NIGHT = load_recipe("night")
CANDIDATE = NIGHT.model_copy(update={"version": NIGHT.version + 1})


def make_jobs(arm: Arm, number: int) -> list[Job]:
    """Return jobs of photos that get a version."""
    canary, jobs = Canary(candidate=CANDIDATE, percent=50), list[Job]()
    for photo in range(10 * number + 50):
        recipe, comparison = canary.assign(NIGHT, f"{photo:064x}")
        if comparison and comparison.arm is arm and len(jobs) < number:
            jobs.append(Job(photo_id=f"{photo:064x}", recipe=recipe, comparison=comparison))
    return jobs


def read_comparison(client: redis.Redis, store: Store) -> ComparisonNumbers:
    hour = read_hour(client)
    counts = read_usage_counts(client, store, hour - 1, hour)
    [comparison] = list_comparisons(merge_counts(counts.values()))
    return comparison


def dream(table: JobTable, job: Job, seconds: float, *, is_replaced: bool = False) -> None:
    table.accept(job, message=UNREAD_MESSAGE)
    claim = table.claim(job, "worker-1")
    assert claim
    event = make_sidecar(job).to_completed_event().model_copy(update={"stages": {Stage.DREAM: seconds}})
    assert table.complete(claim, event, is_replaced=is_replaced)


def test_photos_dreams_times_and_what_guests_keep_are_counted_by_version(client: redis.Redis, store: Store) -> None:
    table = JobTable(client)
    current, candidate = make_jobs(Arm.CURRENT, 8), make_jobs(Arm.CANDIDATE, 5)
    for job in current:
        dream(table, job, 2.0)
    for job in candidate[:3]:
        dream(table, job, 0.4)
    table.accept(candidate[3], message=UNREAD_MESSAGE)
    claim = table.claim(candidate[3], "worker-1")
    assert claim
    assert table.fail(claim, "It cannot be dreamt.")
    table.accept(candidate[4])
    for job, kind in (
        *((job, Counted.SAVED) for job in (current[0], current[0], current[1], candidate[0])),
        *((job, Counted.PRINTED) for job in (candidate[0], candidate[0])),
        (current[2], Counted.OPENED),
    ):
        event_id = f"{job.id} {len(client.keys('artdream:counted:*'))}"
        assert count(client, kind, event_id=event_id, job_id=job.id)
    comparison = read_comparison(client, store)
    one, other = comparison.current, comparison.candidate
    assert (comparison.recipe, one.version, other.version) == ("night", NIGHT.version, CANDIDATE.version)
    assert (one.photos, one.dreams, one.failed.number, one.saved.number, one.opened.number) == (8, 8, 0, 2, 1)
    assert (other.photos, other.dreams, other.failed.number, other.failed.total) == (5, 3, 1, 4)
    assert (other.saved.number, other.printed.number) == (1, 1), "a dream counts once, however often it is printed"
    assert one.dream_median_seconds == pytest.approx(2.0, rel=0.05)
    assert other.dream_median_seconds == pytest.approx(0.4, rel=0.05)


def test_a_sheet_that_came_out_counts_for_the_version_on_it(client: redis.Redis, store: Store) -> None:
    [job] = make_jobs(Arm.CANDIDATE, 1)
    dream(JobTable(client), job, 1.0)
    for number in (1, 2):
        PrintTable(client).count_printed(Print(job_id=job.id, requester="console", number=number))
    comparison = read_comparison(client, store)
    assert (comparison.candidate.printed.number, comparison.current.printed.number) == (1, 0)


def test_a_dream_of_the_current_version_in_place_of_the_candidate_is_a_failure_of_the_candidate(
    client: redis.Redis, store: Store
) -> None:
    table, [job] = JobTable(client), make_jobs(Arm.CANDIDATE, 1)
    dream(table, job, 2.0, is_replaced=True)
    assert count(client, Counted.SAVED, event_id="1", job_id=job.id)
    numbers = read_comparison(client, store).candidate
    assert (numbers.photos, numbers.dreams, numbers.failed.number, numbers.replaced) == (1, 0, 1, 1)
    assert (numbers.saved.number, numbers.dream_median_seconds) == (0, None)


def test_a_photo_that_is_submitted_again_counts_once(client: redis.Redis, store: Store) -> None:
    table, [job] = JobTable(client), make_jobs(Arm.CANDIDATE, 1)
    dream(table, job, 1.0)
    table.accept(job)
    assert read_comparison(client, store).candidate.photos == 1


def test_a_wiped_broker_loses_no_comparison(client: redis.Redis, store: Store) -> None:
    for job in make_jobs(Arm.CANDIDATE, 2):
        dream(JobTable(client), job, 1.0)
    before = read_comparison(client, store)
    persist_usage_counts(client, store)
    client.flushall()
    assert read_comparison(client, store) == before


def test_other_jobs_and_their_dreams_are_in_no_comparison(client: redis.Redis, store: Store) -> None:
    job = Job(photo_id="0" * 64, recipe=NIGHT)
    dream(JobTable(client), job, 1.0)
    assert count(client, Counted.SAVED, event_id="1", job_id=job.id)
    hour = read_hour(client)
    counts = read_usage_counts(client, store, hour - 1, hour)
    assert list_comparisons(merge_counts(counts.values())) == []
    assert sum_rows(counts, hour).compared == {}


def test_the_columns_of_the_csv_have_the_versions(client: redis.Redis, store: Store) -> None:
    for job in make_jobs(Arm.CANDIDATE, 2):
        dream(JobTable(client), job, 1.0)
    hour = read_hour(client)
    row = sum_rows(read_usage_counts(client, store, hour - 1, hour), hour)
    name = f"night_{NIGHT.version}_{CANDIDATE.version}"
    assert row.compared == {f"{name}|candidate-completed": 2, f"{name}|candidate-photos": 2}


def test_counts_of_another_version_of_artdream_are_passed_over() -> None:
    assert (
        list_comparisons({"compared|night|candidate-photos": 3, "compared|a_b_c|x": 1, "dreamt|night_1_2|x-y": 1}) == []
    )


@pytest.mark.parametrize(
    ("number", "total", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), 857–872, table I, method 3: Wilson's interval.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_an_interval_is_that_of_the_literature(number: int, total: int, low: float, high: float) -> None:
    share = make_share(number, total)
    assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("candidate", "current", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), 873–890, table II, method 10.
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_the_interval_of_a_difference_is_that_of_the_literature(
    candidate: tuple[int, int], current: tuple[int, int], low: float, high: float
) -> None:
    interval = find_difference(make_share(*current), make_share(*candidate))
    assert interval
    assert interval == pytest.approx((low, high), abs=5e-5)


def test_without_dreams_nothing_is_claimed() -> None:
    assert make_share(0, 0) == Share(0, 0, None, 0.0, 1.0)
    assert find_difference(make_share(3, 9), make_share(0, 0)) is None
