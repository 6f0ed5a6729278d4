"""The shipped scaling policies keep what docs/benchmarks.md says, in simulated evenings."""

import dataclasses
import statistics

import pytest

from benchmarks.autoscale import EVENINGS, EveningResult, fixed_fleet, simulate_evening
from benchmarks.autoscaler import ScalingPolicy, load_shipped_policies
from shared.jobs.job import Lane

SEEDS = range(3)


def simulate_evenings(kind: str, policies: list[ScalingPolicy]) -> list[EveningResult]:
    return [simulate_evening(EVENINGS[kind], policies, seed) for seed in SEEDS]


def mean_worker_hours(results: list[EveningResult]) -> float:
    return statistics.fmean(result.worker_hours for result in results)


@pytest.fixture(scope="module")
def shipped_policies() -> list[ScalingPolicy]:
    return list(load_shipped_policies().values())


@pytest.fixture(scope="module")
def usual_evenings(shipped_policies: list[ScalingPolicy]) -> list[EveningResult]:
    return simulate_evenings("usual", shipped_policies)


def test_guests_of_a_burst_wait_for_seconds_and_a_batch_of_ten_thousand_for_an_hour(
    usual_evenings: list[EveningResult],
) -> None:
    for evening in usual_evenings:
        assert evening.p95_wait_seconds <= 10
        assert max(evening.live_wait_seconds) <= 30
        assert 0 < evening.batch_hours <= 1


def test_a_fixed_fleet_that_does_the_same_takes_more_than_twice_the_workers(
    usual_evenings: list[EveningResult],
) -> None:
    """Four workers are too few for the batch, eight are enough."""
    assert all(evening.batch_hours > 1 for evening in simulate_evenings("usual", fixed_fleet(4)))
    fleet_of_eight = simulate_evenings("usual", fixed_fleet(8))
    assert all(evening.batch_hours <= 1 for evening in fleet_of_eight)
    assert mean_worker_hours(fleet_of_eight) > 2 * mean_worker_hours(usual_evenings)


def test_one_worker_for_guests_would_be_too_few(shipped_policies: list[ScalingPolicy]) -> None:
    fewer = [dataclasses.replace(policy, min_workers=min(policy.min_workers, 1)) for policy in shipped_policies]
    assert all(evening.p95_wait_seconds > 60 for evening in simulate_evenings("usual", fewer))


def test_prints_that_take_minutes_are_dreamt_to_their_end(shipped_policies: list[ScalingPolicy]) -> None:
    for evening in simulate_evenings("prints", shipped_policies):
        assert evening.released_jobs == 0
        assert evening.batch_hours < 1.1


def test_prints_never_come_where_waiting_jobs_alone_are_counted(shipped_policies: list[ScalingPolicy]) -> None:
    """KEDA #6719: the reason why the query also counts jobs in flight."""
    waiting_only = [dataclasses.replace(policy, count_in_flight=False) for policy in shipped_policies]
    assert simulate_evening(EVENINGS["prints"], waiting_only, 0).batch_hours == float("inf")


def test_a_busy_fleet_is_not_sent_home_and_called_again(shipped_policies: list[ScalingPolicy]) -> None:
    waiting_only = [dataclasses.replace(policy, count_in_flight=False) for policy in shipped_policies]
    started, started_waiting_only = (
        simulate_evening(EVENINGS["busy"], policies, 0).started_workers for policies in (shipped_policies, waiting_only)
    )
    assert 3 * started < started_waiting_only


def test_the_same_evening_passes_in_the_same_way_again(
    shipped_policies: list[ScalingPolicy], usual_evenings: list[EveningResult]
) -> None:
    assert simulate_evening(EVENINGS["usual"], shipped_policies, SEEDS[0]) == usual_evenings[0]


def test_every_job_of_an_evening_is_dreamt_once(shipped_policies: list[ScalingPolicy]) -> None:
    evening = EVENINGS["together"]
    expected = simulate_evening(evening, fixed_fleet(8), 1)
    assert len(simulate_evening(evening, shipped_policies, 1).live_wait_seconds) == len(expected.live_wait_seconds)
    assert {policy.lane for policy in shipped_policies} == set(Lane)
