"""The state machine of jobs: whatever producers, workers and the operator do, and in any order, the promises hold."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from shared.jobs.events import STREAM_START_ID, EventReader, Hidden, Shown, parse_entry
from shared.jobs.job import Job, State
from shared.jobs.state_machine import ENDED_JOB_TTL_SECONDS, QueueMessage
from shared.jobs.table import (
    ATTEMPTS_EXHAUSTED_REASON,
    Acceptance,
    AlreadyClaimed,
    Claim,
    JobTable,
)
from shared.recipe.recipe import load_recipe
from shared.redis_keys import LEASES, STREAM, UNCLAIMED, UNFINISHED_BY_SUBMITTER, job_key
from shared.runtime_settings import update_runtime_settings
from shared.storage.sidecar import Visibility
from shared.timing import Timing
from tests.sidecars import make_sidecar
from tests.unread_message import UNREAD_MESSAGE

JOB = Job(photo_id="ab" * 32, recipe=load_recipe("animals"))

#: Two jobs have all the interleavings: a job depends on another only by what is counted and listed of both.
seeds = st.integers(0, 1)
workers = st.sampled_from(["w1", "w2"])
submitters = st.sampled_from(["guest-1", "guest-2", ""])
messages = st.sampled_from([UNREAD_MESSAGE, None])

#: Longer than the test takes on the busiest machine, so that leases expire by the rule alone.
LONG_SECONDS = 86_400.0
TIMING = Timing(lease_seconds=LONG_SECONDS, outage_after_seconds=LONG_SECONDS, renewal_grace_seconds=0)

#: So few that many of the examples come to the last one.
FEW_ATTEMPTS = 2

#: The events of a job: it is accepted again only after it failed or was cancelled, and nothing follows a deletion.
HISTORY = re.compile(
    "(accepted (queued |started |progress )*(failed |cancelled ))*"
    "(accepted (queued |started |progress )*(completed )?)?(deleted )?"
)


@dataclass
class ExpectedJob:
    """What the documentation promises of a job."""

    job: Job
    state: State | None = None
    reason: str = ""
    #: When it entered the state, and when its lease expired, 0 if it is valid, on the clock of the test.
    since: int = 0
    expired_at: int = 0
    #: The latest claim's fencing token and worker, and how often the job was started.
    token: int = 0
    worker: str = ""
    attempts: int = 0
    #: Whether its dream is not visible; None: nobody has decided, and no approval was required so far.
    is_held: bool | None = None

    @property
    def is_unclaimed(self) -> bool:
        return self.state in (State.ACCEPTED, State.QUEUED)

    @property
    def is_unfinished(self) -> bool:
        return self.is_unclaimed or self.state is State.STARTED

    @property
    def visibility(self) -> Visibility:
        return Visibility.HELD if self.is_held else Visibility.SHOWN

    def has_ended_as(self, claim: Claim, state: State) -> bool:
        """Return whether the latest claim ended in this state: whoever repeats that request gets the same reply."""
        return self.state is state and self.token == claim.token

    def is_available(self, dead_worker: str | None = None) -> bool:
        """Return whether the job has not ended, and no live worker has a valid claim on it."""
        is_lease_void = self.expired_at > 0 or self.worker == dead_worker
        return self.is_unclaimed or (self.state is State.STARTED and is_lease_void)


def list_ids(jobs: Iterable[ExpectedJob]) -> list[str]:
    return [expected.job.id for expected in jobs]


class JobTableMachine(RuleBasedStateMachine):
    """Everything that happens to two jobs. Each step says what is promised, and then has the job table do it."""

    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        client.flushall()
        self.client = client
        self.table = JobTable(client, timing=TIMING)
        self.table.list_expired_leases()  # the first sweep finds nothing
        self.clock = itertools.count(1)
        self.needs_approval = False
        self.jobs = [ExpectedJob(JOB.model_copy(update={"seed": seed})) for seed in range(2)]
        #: Type, job and mark of each event since the last step, and the id of the last one before.
        self.expected_events: list[tuple[str, str, bool]] = []
        self.position = STREAM_START_ID
        self.message_count = 0

    def expect_event(self, expected: ExpectedJob, event_type: str | None) -> None:
        """Expect an event, or none, of a change. While dreams need approval, a job is held unless somebody decided."""
        if self.needs_approval and expected.is_held is None and expected.state is not State.DELETED:
            expected.is_held = True
        if event_type:
            self.expected_events.append((event_type, expected.job.id, bool(expected.is_held)))

    def expect_state(self, expected: ExpectedJob, state: State, event_type: str | None, reason: str = "") -> None:
        expected.state, expected.reason, expected.since = state, reason, next(self.clock)
        expected.expired_at = 0
        self.expect_event(expected, event_type)

    def count_unfinished(self) -> Counter[str]:
        return Counter(expected.job.submitter for expected in self.jobs if expected.is_unfinished)

    @initialize(target=claims)
    def start_a_job(self) -> Claim | MultipleResults[Claim]:
        self.accept(0, "guest-1")
        return self.claim(0, "w1")

    @rule(seed=seeds, submitter=submitters, message=messages)
    def accept(self, seed: int, submitter: str, message: QueueMessage | None = None) -> None:
        expected = self.jobs[seed]
        job = expected.job.model_copy(update={"submitter": submitter})
        is_new = expected.state in (None, State.FAILED, State.CANCELLED)
        if is_new:
            self.expect_state(expected, State.ACCEPTED, "accepted")
            expected.job, expected.attempts = job, 0
        is_queued = message is not None and expected.state is State.ACCEPTED
        if is_queued:
            self.expect_state(expected, State.QUEUED, "queued")
            self.message_count += 1
        assert self.table.accept(job, message=message) == Acceptance(is_new, is_queued)

    @rule(target=claims, seed=seeds, worker=workers)
    def claim(self, seed: int, worker: str) -> Claim | MultipleResults[Claim]:
        expected = self.jobs[seed]
        if expected.state is State.STARTED and expected.worker == worker and not expected.expired_at:
            claim = self.table.claim(expected.job, worker)  # it did not get the reply
            assert claim
            assert claim.token == expected.token
            return multiple()
        if expected.is_unfinished and not expected.is_available():
            with pytest.raises(AlreadyClaimed, match=expected.worker):
                self.table.claim(expected.job, worker)
            return multiple()
        if not expected.is_unfinished or expected.attempts == FEW_ATTEMPTS:
            if expected.is_unfinished:
                self.expect_state(expected, State.FAILED, "failed", ATTEMPTS_EXHAUSTED_REASON)
            assert self.table.claim(expected.job, worker) is None
            return multiple()
        self.expect_state(expected, State.STARTED, "started")
        expected.worker, expected.attempts = worker, expected.attempts + 1
        claim = self.table.claim(expected.job, worker)
        assert claim
        assert claim.token > expected.token
        assert claim.visibility is expected.visibility
        expected.token = claim.token
        return claim

    @rule(seed=seeds, has_worker_died=st.booleans())
    def requeue(self, seed: int, has_worker_died: bool) -> None:
        expected = self.jobs[seed]
        assert self.table.requeue(expected.job.id, min_age_seconds=LONG_SECONDS) is None
        dead_worker = expected.worker if has_worker_died else "w3"
        requeued_job = None
        if expected.is_available(dead_worker) and expected.state is not State.ACCEPTED:
            if expected.attempts == FEW_ATTEMPTS:
                self.expect_state(expected, State.FAILED, "failed", ATTEMPTS_EXHAUSTED_REASON)
            else:
                self.expect_state(expected, State.ACCEPTED, None)
                requeued_job = expected.job
        assert self.table.requeue(expected.job.id, dead_worker=dead_worker) == requeued_job

    @rule()
    def let_time_pass(self) -> None:
        """Let every lease expire."""
        for expected in self.jobs:
            if expected.state is State.STARTED and not expected.expired_at:
                expected.expired_at = next(self.clock)
                self.client.zadd(LEASES, {expected.job.id: expected.expired_at})
        expired = [expected for expected in self.jobs if expected.expired_at]
        expired.sort(key=lambda expected: expected.expired_at)
        assert self.table.list_expired_leases() == list_ids(expired)

    @rule()
    def switch_approval(self) -> None:
        self.needs_approval = not self.needs_approval
        self.expected_events.append(("steered", "", False))
        update_runtime_settings(self.client, approval=self.needs_approval)

    def renew_lease(self, claim: Claim, expected: ExpectedJob, is_valid: bool) -> None:
        if is_valid:
            expected.expired_at = 0
            self.expect_event(expected, None)
        assert self.table.renew_lease(claim) is is_valid

    def record_progress(self, claim: Claim, expected: ExpectedJob, is_valid: bool) -> None:
        if is_valid:
            expected.expired_at = 0
            self.expect_event(expected, "progress")
        assert self.table.record_progress(claim, "dreams/x/frames/00.jpg", 0.5) is is_valid

    def release(self, claim: Claim, expected: ExpectedJob, is_valid: bool) -> None:
        if is_valid:
            expected.attempts -= 1
            self.expect_state(expected, State.QUEUED, "queued")
        assert self.table.release(claim) is (is_valid or expected.has_ended_as(claim, State.QUEUED))

    def complete(self, claim: Claim, expected: ExpectedJob, is_valid: bool) -> None:
        if is_valid:
            self.expect_state(expected, State.COMPLETED, "completed")
        visibility = self.table.complete(claim, make_sidecar(claim.job).to_completed_event())
        assert visibility is (expected.visibility if expected.has_ended_as(claim, State.COMPLETED) else None)

    def fail(self, claim: Claim, expected: ExpectedJob, is_valid: bool) -> None:
        if is_valid:
            self.expect_state(expected, State.FAILED, "failed", "out of memory")
        assert self.table.fail(claim, "out of memory") is expected.has_ended_as(claim, State.FAILED)

    # One rule for all that needs a claim and one for the rest, as each example leaves out some of the rules.
    @rule(claim=claims, step=st.sampled_from([renew_lease, record_progress, release, complete, fail]))
    def work(self, claim: Claim, step: Callable[["JobTableMachine", Claim, ExpectedJob, bool], None]) -> None:
        expected = self.jobs[claim.job.seed]
        step(self, claim, expected, expected.state is State.STARTED and expected.token == claim.token)

    def reject(self, expected: ExpectedJob) -> None:
        is_available = expected.is_available()
        if is_available:
            self.expect_state(expected, State.FAILED, "failed", "unreadable")
        assert self.table.reject(expected.job.id, "unreadable") is is_available

    def cancel(self, expected: ExpectedJob) -> None:
        is_unfinished = expected.is_unfinished
        if is_unfinished:
            self.expect_state(expected, State.CANCELLED, "cancelled")
        assert self.table.cancel(expected.job.id) is is_unfinished

    def delete(self, expected: ExpectedJob) -> None:
        is_new = expected.state is not State.DELETED
        if is_new:
            self.expect_state(expected, State.DELETED, "deleted")
            expected.is_held = None
        assert self.table.delete(expected.job.id, expected.job.photo_id) is is_new

    def show(self, expected: ExpectedJob) -> None:
        event = Shown(
            job_id=expected.job.id,
            photo_id=expected.job.photo_id,
            completed=make_sidecar(expected.job).to_completed_event(),
            dreamt_at=1.0,
        )
        is_known = expected.state is not State.DELETED
        if is_known:
            expected.is_held = False
            self.expect_event(expected, "shown")
        assert self.table.show(event) is is_known

    def hide(self, expected: ExpectedJob) -> None:
        is_known = expected.state is not State.DELETED
        if is_known:
            expected.is_held = False  # everybody may know that it is hidden
            self.expect_event(expected, "hidden")
            expected.is_held = True
        assert self.table.hide(Hidden(job_id=expected.job.id, photo_id=expected.job.photo_id)) is is_known

    @rule(seed=seeds, step=st.sampled_from([reject, cancel, show, hide, delete]))
    def decide(self, seed: int, step: Callable[["JobTableMachine", ExpectedJob], None]) -> None:
        step(self, self.jobs[seed])

    @invariant()
    def the_broker_has_what_is_promised(self) -> None:
        unclaimed_ids, leased_ids, unfinished_counts, entries, message_count, *records = self.read_broker()
        assert message_count == self.message_count
        unclaimed = [expected for expected in self.jobs if expected.is_unclaimed]
        unclaimed.sort(key=lambda expected: expected.since)
        assert unclaimed_ids == list_ids(unclaimed)
        assert set(leased_ids) == set(list_ids(e for e in self.jobs if e.state is State.STARTED))
        assert {submitter: int(count) for submitter, count in unfinished_counts.items()} == self.count_unfinished()
        assert [self.parse_entry(*entry) for entry in entries] == self.expected_events
        self.expected_events.clear()
        for expected, fields, ttl in zip(self.jobs, records[::2], records[1::2], strict=True):
            state, reason, attempts, held, job_json = fields
            assert (state, reason or "", int(attempts or 0)) == (expected.state, expected.reason, expected.attempts)
            assert held == (None if expected.is_held is None else str(int(expected.is_held)))
            # Of a deleted job no record of the photo is left.
            has_record = expected.state not in (None, State.DELETED)
            assert job_json == (expected.job.model_dump_json() if has_record else None)
            # Ended jobs expire, except for dreams that are not visible.
            has_dream = expected.state in (None, State.COMPLETED)
            if expected.is_unfinished or (expected.is_held and has_dream):
                assert ttl == -1
            elif expected.state is None and expected.is_held is None:
                assert ttl == -2
            else:
                assert 0 < ttl <= ENDED_JOB_TTL_SECONDS

    def read_broker(self) -> list[Any]:
        """Read all records in one round trip."""
        pipeline = self.client.pipeline(transaction=False)
        pipeline.zrange(UNCLAIMED, 0, -1)
        pipeline.zrange(LEASES, 0, -1)
        pipeline.hgetall(UNFINISHED_BY_SUBMITTER)
        pipeline.xrange(STREAM, f"({self.position}")
        pipeline.llen(UNREAD_MESSAGE.lists[0])
        for job_id in list_ids(self.jobs):
            pipeline.hmget(job_key(job_id), "state", "reason", "tries", "held", "job")
            pipeline.ttl(job_key(job_id))
        return pipeline.execute()

    def parse_entry(self, entry_id: str, fields: dict[str, str]) -> tuple[str, str, bool]:
        self.position = entry_id
        recorded = parse_entry(entry_id, fields)
        assert recorded
        return recorded.event.type, getattr(recorded.event, "job_id", ""), recorded.held

    def teardown(self) -> None:
        """Check the whole history, without the model."""
        histories = dict.fromkeys(list_ids(self.jobs), "")
        for recorded in EventReader(self.client).read():
            if recorded.event.type not in ("shown", "hidden", "steered"):
                histories[recorded.event.job_id] += f"{recorded.event.type} "  # type: ignore[union-attr]
        for history in histories.values():
            assert HISTORY.fullmatch(history)


def test_any_interleaving_keeps_the_promises(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.jobs.table.MAX_ATTEMPTS", FEW_ATTEMPTS)
    run_state_machine_as_test(
        lambda: JobTableMachine(client),  # type: ignore[arg-type]
        settings=settings(max_examples=120, stateful_step_count=25, deadline=None),
    )
