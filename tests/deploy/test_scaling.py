"""What docs/benchmarks.md promises of the shipped scaling, in simulated evenings."""

import dataclasses
import statistics

import pytest

from benchmarks.autoscale import EVENINGS, Outcome, fixed, spend
from benchmarks.autoscaler import Policy, shipped
from shared.jobs.job import Lane

SEEDS = range(3)


def evenings(kind: str, policies: list[Policy]) -> list[Outcome]:
    return [spend(EVENINGS[kind], policies, seed) for seed in SEEDS]


def hours(passed: list[Outcome]) -> float:
    return statistics.fmean(one.workers for one in passed)


@pytest.fixture(scope="module")
def as_shipped() -> list[Policy]:
    return list(shipped().values())


@pytest.fixture(scope="module")
def usual(as_shipped: list[Policy]) -> list[Outcome]:
    return evenings("usual", as_shipped)


def test_guests_of_a_burst_wait_for_seconds_and_a_batch_of_ten_thousand_for_an_hour(usual: list[Outcome]) -> None:
    for evening in usual:
        assert evening.p95 <= 10
        assert max(evening.live) <= 30
        assert 0 < evening.batch <= 1


def test_a_fixed_fleet_that_does_the_same_takes_more_than_twice_the_workers(usual: list[Outcome]) -> None:
    """Four are not enough for the batch, eight are."""
    assert all(evening.batch > 1 for evening in evenings("usual", fixed(4)))
    enough = evenings("usual", fixed(8))
    assert all(evening.batch <= 1 for evening in enough)
    assert hours(enough) > 2 * hours(usual)


def test_one_worker_for_guests_would_be_too_few(as_shipped: list[Policy]) -> None:
    fewer = [dataclasses.replace(one, least=min(one.least, 1)) for one in as_shipped]
    assert all(evening.p95 > 60 for evening in evenings("usual", fewer))


def test_prints_that_take_minutes_are_dreamt_to_their_end(as_shipped: list[Policy]) -> None:
    for evening in evenings("prints", as_shipped):
        assert evening.handed_back == 0
        assert evening.batch < 1.1


def test_prints_never_come_where_waiting_jobs_alone_are_counted(as_shipped: list[Policy]) -> None:
    """KEDA #6719, and why the query counts what is in flight."""
    naive = [dataclasses.replace(one, in_flight=False) for one in as_shipped]
    assert spend(EVENINGS["prints"], naive, 0).batch == float("inf")


def test_a_busy_fleet_is_not_sent_home_and_called_again(as_shipped: list[Policy]) -> None:
    naive = [dataclasses.replace(one, in_flight=False) for one in as_shipped]
    calm, restless = (spend(EVENINGS["busy"], policies, 0).started for policies in (as_shipped, naive))
    assert 3 * calm < restless


def test_the_same_evening_passes_in_the_same_way_again(as_shipped: list[Policy], usual: list[Outcome]) -> None:
    assert spend(EVENINGS["usual"], as_shipped, SEEDS[0]) == usual[0]


def test_every_job_of_an_evening_is_dreamt_once(as_shipped: list[Policy]) -> None:
    lively = EVENINGS["together"]
    wanted = spend(lively, fixed(8), 1)
    assert len(spend(lively, as_shipped, 1).live) == len(wanted.live)
    assert {policy.lane for policy in as_shipped} == set(Lane)
