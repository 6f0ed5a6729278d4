"""The job table: a photo, a recipe and a seed become exactly one dream."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from shared.jobs.events import Completed, EventReader, Failed, Hidden, RuntimeSettingsChanged, Shown, Stage, Started
from shared.jobs.job import Job, Lane, State
from shared.jobs.state_machine import ENDED_JOB_TTL_SECONDS, MAX_ATTEMPTS
from shared.jobs.table import ATTEMPTS_EXHAUSTED_REASON, Acceptance, AlreadyClaimed, JobTable
from shared.recipe.recipe import load_recipe
from shared.redis_keys import LAST_SWEEP, LEASES, STREAM, UNFINISHED_BY_SUBMITTER, job_key
from shared.runtime_settings import update_runtime_settings
from shared.storage.sidecar import Visibility
from tests.unread_message import UNREAD_MESSAGE

PHOTO_ID = "ab" * 32


@pytest.fixture
def table(client: redis.Redis) -> JobTable:
    return JobTable(client)


@pytest.fixture
def job() -> Job:
    return Job(photo_id=PHOTO_ID, recipe=load_recipe("animals"))


def make_completed(job: Job) -> Completed:
    return Completed(
        job_id=job.id,
        photo_id=job.photo_id,
        recipe="animals",
        title="Animals",
        photo="photos/x.jpg",
        dream="dreams/x/dream.jpg",
        stages={Stage.DREAM: 1.0},
    )


def read_event_types(client: redis.Redis) -> list[str]:
    return [recorded.event.type for recorded in EventReader(client).read()]


def test_the_same_photo_recipe_and_seed_are_one_job_whatever_the_lane(job: Job) -> None:
    assert job.id == job.model_copy(update={"lane": Lane.BATCH, "stages": {Stage.CONVERT: 2.0}}).id
    others = [
        job.model_copy(update={"photo_id": "cd" * 32}),
        job.model_copy(update={"seed": 1}),
        job.model_copy(update={"recipe": load_recipe("lines")}),
    ]
    assert len({job.id, *(other.id for other in others)}) == 4


def test_a_recipe_that_changes_a_pixel_makes_another_job_but_a_new_title_does_not(job: Job) -> None:
    renamed = job.recipe.model_copy(update={"title": "Beasts", "description": "Other words."})
    deeper = job.recipe.model_copy(update={"version": 2})
    assert job.model_copy(update={"recipe": renamed}).id == job.id
    assert job.model_copy(update={"recipe": deeper}).id != job.id


def test_a_job_goes_its_way_and_each_step_is_told_once(client: redis.Redis, table: JobTable, job: Job) -> None:
    assert table.accept(job, message=UNREAD_MESSAGE).is_new
    claim = table.claim(job, "w1")
    assert claim is not None
    assert claim.job == job
    assert table.record_progress(claim, "dreams/x/frames/00.jpg", 0.5)
    assert table.complete(claim, make_completed(job))
    assert table.get_state(job.id) == State.COMPLETED
    assert read_event_types(client) == ["accepted", "queued", "started", "progress", "completed"]


def test_what_was_done_cannot_be_done_again(client: redis.Redis, table: JobTable, job: Job) -> None:
    table.accept(job, message=UNREAD_MESSAGE)
    claim = table.claim(job, "w1")
    assert claim is not None
    table.complete(claim, make_completed(job))
    event_types = read_event_types(client)
    assert table.accept(job, message=UNREAD_MESSAGE) == Acceptance(is_new=False, is_queued=False)
    assert table.claim(job, "w2") is None
    assert not table.record_progress(claim, "f", 0.9)
    assert not table.fail(claim, "late")
    assert not table.release(claim)
    assert read_event_types(client) == event_types


def test_a_worker_that_did_not_get_the_reply_gets_it_when_it_asks_again(
    client: redis.Redis, table: JobTable, job: Job
) -> None:
    """Seen failing: a completed job counted as "called off", and had no clips."""
    other = job.model_copy(update={"seed": 1})
    for each in (job, other):
        table.accept(each)
    completed, failed = table.claim(job, "w1"), table.claim(other, "w1")
    assert completed
    again = table.claim(job, "w1")
    assert again
    assert again.token == completed.token
    assert table.count_attempts([job.id]) == [1]
    assert failed
    for _ in range(2):
        assert table.release(failed)
    failed = table.claim(other, "w1")
    assert failed
    for _ in range(2):
        assert table.complete(completed, make_completed(job)) is Visibility.SHOWN
        assert table.fail(failed, "damaged")
    assert [read_event_types(client).count(each) for each in ("queued", "completed", "failed")] == [1, 1, 1]
    assert client.exists(UNFINISHED_BY_SUBMITTER) == 0


def expire_lease(client: redis.Redis, job: Job) -> None:
    """Let the lease of a job expire, as if its worker had been silent for too long."""
    client.zadd(LEASES, {job.id: 1})


def test_a_worker_whose_job_was_given_to_another_can_publish_nothing(
    client: redis.Redis, table: JobTable, job: Job
) -> None:
    table.accept(job)
    zombie = table.claim(job, "w1")
    expire_lease(client, job)
    successor = table.claim(job, "w2")
    assert zombie is not None
    assert successor is not None
    assert not table.record_progress(zombie, "f", 0.9)
    assert not table.complete(zombie, make_completed(job))
    assert not table.renew_lease(zombie)
    assert not table.release(zombie)
    assert not table.fail(zombie, "late")
    assert table.complete(successor, make_completed(job))
    assert read_event_types(client).count("completed") == 1


@pytest.mark.parametrize("is_wiped", [True, False], ids=["wiped", "last writes lost"])
def test_a_broker_that_has_lost_a_claim_does_not_accept_it_for_the_next_one(
    client: redis.Redis, table: JobTable, job: Job, *, is_wiped: bool
) -> None:
    """Seen failing with tokens that count from 1: both workers dreamt the job, and the first could take it away."""
    table.accept(job)
    client.copy(job_key(job.id), "before")
    lost = table.claim(job, "w1")
    if is_wiped:
        client.flushall()
        table.accept(job)
    else:
        client.copy("before", job_key(job.id), replace=True)
    successor = table.claim(job, "w2")
    assert lost is not None
    assert successor is not None
    assert not table.renew_lease(lost)
    assert not table.record_progress(lost, "f", 0.9)
    assert not table.release(lost)
    assert not table.fail(lost, "late")
    assert not table.complete(lost, make_completed(job))
    assert table.complete(successor, make_completed(job))


def test_a_broker_whose_clock_was_set_back_grants_larger_tokens(client: redis.Redis, table: JobTable, job: Job) -> None:
    table.accept(job)
    late_token = 10**6 * (client.time()[0] + 3600)
    client.hset(job_key(job.id), "token", late_token)
    claim = table.claim(job, "w1")
    assert claim
    assert claim.token == late_token + 1
    assert table.complete(claim, make_completed(job))


def test_a_job_that_is_dreamt_is_nobody_elses_while_its_worker_renews_its_claim(
    client: redis.Redis, table: JobTable, job: Job
) -> None:
    """Fails without `previous_holder` in `claim`: the second claim invalidates the first."""
    table.accept(job)
    claim = table.claim(job, "w1")
    assert claim is not None
    with pytest.raises(AlreadyClaimed, match="w1 is dreaming it") as error:
        table.claim(job, "w2")
    assert error.value.holder == "w1"
    expire_lease(client, job)
    assert table.renew_lease(claim)  # late, but no other worker has claimed the job
    with pytest.raises(AlreadyClaimed):
        table.claim(job, "w2")
    assert table.requeue(job.id) is None
    assert table.requeue(job.id, dead_worker="w2") is None
    assert table.complete(claim, make_completed(job))


def test_a_silent_worker_s_job_is_named_and_taken_back_once(client: redis.Redis, table: JobTable, job: Job) -> None:
    table.accept(job, message=UNREAD_MESSAGE)
    table.claim(job, "w1")
    expire_lease(client, job)
    assert table.list_expired_leases() == []  # the last sweep is long ago, so the worker gets time to renew
    client.hdel(LAST_SWEEP, "patience")
    assert table.list_expired_leases() == [job.id]
    assert table.requeue(job.id) == job
    assert table.requeue(job.id) is None
    assert table.get_state(job.id) is State.ACCEPTED
    assert table.list_expired_leases() == []
    assert table.list_unclaimed(-1) == [job.id]
    assert client.hget(UNFINISHED_BY_SUBMITTER, job.submitter) == "1"


def test_a_dead_worker_s_job_is_taken_back_at_once(table: JobTable, job: Job) -> None:
    table.accept(job)
    table.claim(job, "w1")
    assert table.requeue(job.id, dead_worker="w1") == job
    assert table.claim(job, "w2") is not None


def test_a_job_that_takes_its_worker_with_it_is_given_up_with_a_reason(
    client: redis.Redis, table: JobTable, job: Job
) -> None:
    """Fails without `max_attempts` in `claim` and `requeue`: the job is started again without end."""
    table.accept(job)
    for _ in range(MAX_ATTEMPTS):
        assert table.claim(job, "w") is not None
        expire_lease(client, job)
    assert table.requeue(job.id) is None
    assert table.claim(job, "w") is None
    record = table.get_record(job.id)
    assert record
    assert (record.state, record.reason) == (State.FAILED, ATTEMPTS_EXHAUSTED_REASON)
    assert read_event_types(client).count("failed") == 1
    assert table.accept(job).is_new  # submitted again by the operator, the job has all its attempts again
    assert table.claim(job, "w") is not None


def test_a_job_whose_last_worker_is_known_to_be_dead_is_given_up_at_once(table: JobTable, job: Job) -> None:
    """Fails without `dead_worker` in `_fail_unclaimed`: the job is given up only when its lease expires."""
    table.accept(job)
    for _ in range(MAX_ATTEMPTS):
        assert table.claim(job, "w1") is not None
        requeued = table.requeue(job.id, dead_worker="w1")
    assert requeued is None
    assert table.get_state(job.id) is State.FAILED


def test_a_job_that_is_handed_back_is_as_if_it_had_never_been_started(table: JobTable, job: Job) -> None:
    table.accept(job)
    for _ in range(2 * MAX_ATTEMPTS):
        claim = table.claim(job, "w")
        assert claim
        assert table.release(claim)
        assert table.get_state(job.id) is State.QUEUED
        assert not table.record_progress(claim, "f", 0.5)
    assert table.claim(job, "w")


def test_how_often_a_job_was_handed_back_is_known_until_it_is_submitted_again(table: JobTable, job: Job) -> None:
    table.accept(job)
    for hand_backs in range(3):
        claim = table.claim(job, "w")
        assert claim
        assert claim.hand_backs == hand_backs
        assert table.release(claim, count=True)
    table.cancel(job.id)
    table.accept(job)
    claim = table.claim(job, "w")
    assert claim
    assert claim.hand_backs == 0


def test_what_is_over_is_forgotten_in_time_but_not_what_nobody_may_see(
    client: redis.Redis, table: JobTable, job: Job
) -> None:
    other_jobs = [job.model_copy(update={"seed": seed}) for seed in range(1, 4)]
    assert run_job(table, job) is Visibility.SHOWN
    table.accept(other_jobs[0])
    table.cancel(other_jobs[0].id)
    table.delete(other_jobs[1].id, job.photo_id)
    for ended_job in (job, *other_jobs[:2]):
        assert 0 < client.ttl(job_key(ended_job.id)) <= ENDED_JOB_TTL_SECONDS
    update_runtime_settings(client, approval=True)
    assert run_job(table, other_jobs[2]) is Visibility.HELD
    assert client.ttl(job_key(other_jobs[2].id)) == -1
    for ended_job, completion in ((other_jobs[2], make_completed(other_jobs[2])), (job, make_completed(job))):
        table.show(Shown(job_id=ended_job.id, photo_id=ended_job.photo_id, completed=completion, dreamt_at=1.0))
        assert 0 < client.ttl(job_key(ended_job.id)) <= ENDED_JOB_TTL_SECONDS
    table.hide(Hidden(job_id=job.id, photo_id=job.photo_id))
    assert client.ttl(job_key(job.id)) == -1
    assert table.accept(other_jobs[0]).is_new
    assert client.ttl(job_key(other_jobs[0].id)) == -1
    assert client.exists(LEASES) == 0


@pytest.mark.parametrize("is_hidden", [False, True], ids=["held", "hidden"])
@pytest.mark.parametrize("end", ["cancel", "fail"])
def test_a_job_that_needed_approval_and_ended_without_a_dream_is_forgotten_in_time(
    client: redis.Redis, table: JobTable, job: Job, end: str, is_hidden: bool
) -> None:
    """Seen failing: its record never expired, waiting for a decision about a dream that it does not have."""
    update_runtime_settings(client, approval=True)
    assert table.accept(job, message=UNREAD_MESSAGE).is_new
    claim = table.claim(job, "w")
    assert claim
    assert table.cancel(job.id) if end == "cancel" else table.fail(claim, "out of memory")
    if is_hidden:
        table.hide(Hidden(job_id=job.id, photo_id=job.photo_id))
    assert 0 < client.ttl(job_key(job.id)) <= ENDED_JOB_TTL_SECONDS
    update_runtime_settings(client, approval=False)
    assert run_job(table, job) is Visibility.HELD, "a job that is accepted again is still held"
    assert client.ttl(job_key(job.id)) == -1


def test_a_broker_that_lost_its_memory_is_told_of_dreams_and_deletions(
    client: redis.Redis, table: JobTable, job: Job
) -> None:
    hidden, deleted = job.model_copy(update={"seed": 1}), job.model_copy(update={"seed": 2})
    assert table.restore_completed(job, held=False)
    assert table.restore_completed(hidden, held=True)
    assert table.restore_deleted(deleted.id)
    assert not table.restore_completed(deleted, held=False)
    assert not table.restore_deleted(job.id)
    assert table.get_states([job.id, hidden.id, deleted.id]) == [State.COMPLETED, State.COMPLETED, State.DELETED]
    assert table.are_not_visible([job.id, hidden.id, deleted.id]) == [False, True, True]
    assert not any(table.accept(restored).is_new for restored in (job, hidden, deleted))
    assert read_event_types(client) == []
    assert client.hgetall(job_key(deleted.id)).keys() == {"state", "at", "reason"}
    assert client.ttl(job_key(deleted.id)) > 0


def test_a_dream_that_a_wiped_broker_is_told_to_hide_stays_hidden(
    client: redis.Redis, table: JobTable, job: Job
) -> None:
    table.restore_holds([job.id])
    assert run_job(table, job) is Visibility.HELD
    assert table.are_not_visible([job.id]) == [True]
    shown = job.model_copy(update={"seed": 1})
    assert run_job(table, shown) is Visibility.SHOWN
    table.show(Shown(job_id=job.id, photo_id=job.photo_id, completed=make_completed(job), dreamt_at=1.0))
    table.restore_holds([job.id])
    assert table.are_not_visible([job.id]) == [False]  # the broker knows better


def test_any_number_of_jobs_is_read_in_order(table: JobTable, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.jobs.table.JOBS_PER_ROUND_TRIP", 2)
    for count in (0, 1, 2, 3, 9):
        jobs = [job.model_copy(update={"seed": 10 * count + number}) for number in range(count)]
        job_ids = [numbered.id for numbered in jobs]
        for numbered in jobs[::2]:
            table.accept(numbered)
        table.restore_holds(job_ids[1::2])
        assert table.get_states(job_ids) == [None if index % 2 else State.ACCEPTED for index in range(count)]
        for numbered in jobs[::2]:
            claim = table.claim(numbered, "w")
            assert claim
            table.complete(claim, make_completed(numbered))
        assert table.are_not_visible(job_ids) == [bool(index % 2) for index in range(count)]
    assert len(list(table.iter_records())) == 9  # every second one of each


def test_leased_jobs_are_those_that_were_started(client: redis.Redis, table: JobTable, job: Job) -> None:
    jobs = [job.model_copy(update={"seed": seed}) for seed in range(3)]
    for accepted in jobs:
        table.accept(accepted)
    for claimed in jobs[:2]:
        table.claim(claimed, "w1")
    expire_lease(client, jobs[0])
    client.zadd(LEASES, {"0" * 32: 2})  # of a job that is unknown
    assert {record.job.id for record in table.list_leased()} == {jobs[0].id, jobs[1].id}


def test_the_photos_of_unfinished_jobs_are_those_that_wait_or_run(
    client: redis.Redis, table: JobTable, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.jobs.table.JOBS_PER_ROUND_TRIP", 2)
    queued, running, cancelled, unreadable, newer = (
        job.model_copy(update={"photo_id": f"{number:064x}"}) for number in range(5)
    )
    for accepted in (queued, running, cancelled, unreadable, newer):
        table.accept(accepted)
    table.claim(running, "w1")
    table.cancel(cancelled.id)
    client.hset(job_key(unreadable.id), "job", "[]")
    client.hset(job_key(newer.id), "job", f'{{"photo_id": "{newer.photo_id}", "new_field": 1}}')
    assert table.list_unfinished_photo_ids() == {queued.photo_id, running.photo_id, newer.photo_id}


def test_a_record_is_read_up_to_a_length(client: redis.Redis, table: JobTable, job: Job) -> None:
    """Fails without `hstrlen`: a worker reads whatever somebody put into the table."""
    client.hset(job_key(job.id), "job", "é" * 10)  # twenty bytes
    assert table.read_raw_job(job.id, 20) == "é" * 10
    assert table.read_raw_job(job.id, 19) == " " * 19
    assert table.read_raw_job("0" * 32, 20) is None


def test_a_rejected_job_s_event_names_no_photo_for_its_record_is_unreadable(
    client: redis.Redis, table: JobTable, job: Job
) -> None:
    table.accept(job)
    assert table.reject(job.id, "unreadable")
    assert EventReader(client).read()[-1].event == Failed(job_id=job.id, photo_id="", reason="unreadable")


def test_unclaimed_jobs_are_found_from_an_age_on(table: JobTable, job: Job) -> None:
    jobs = [job.model_copy(update={"seed": seed}) for seed in range(2)]
    for accepted in jobs:
        table.accept(accepted)
    for age, expected in ((-1, jobs), (60, [])):
        assert table.list_unclaimed(age) == [accepted.id for accepted in expected]
        assert table.count_unclaimed(age) == len(expected)


def test_a_failed_job_may_be_sent_again(table: JobTable, job: Job) -> None:
    table.accept(job)
    claim = table.claim(job, "w1")
    assert claim is not None
    assert table.fail(claim, "out of memory")
    assert table.get_state(job.id) == State.FAILED
    assert table.accept(job).is_new
    assert table.claim(job, "w1") is not None


def test_an_unknown_job_is_nobodys(table: JobTable, job: Job) -> None:
    assert table.claim(job, "w1") is None
    assert table.get_state("0" * 32) is None
    assert table.count_attempts(["0" * 32]) == [0]


def test_a_claim_tells_how_long_the_job_waited(client: redis.Redis, table: JobTable, job: Job) -> None:
    before = client.time()
    table.accept(job, message=UNREAD_MESSAGE)
    client.wait(0, 1)
    claim = table.claim(job, "w1")
    after = client.time()
    assert claim is not None
    assert 0 < claim.queued_seconds <= after[0] - before[0] + (after[1] - before[1]) / 1e6


def test_a_job_that_is_called_off_ends_and_no_other_notices(client: redis.Redis, table: JobTable, job: Job) -> None:
    other = job.model_copy(update={"seed": 1})
    for submitted in (job, other):
        table.accept(submitted)
    claim = table.claim(job, "w1")
    assert claim is not None
    assert table.cancel(job.id)
    assert not table.cancel(job.id)
    assert not table.record_progress(claim, "f", 0.9)
    assert not table.complete(claim, make_completed(job))
    assert table.claim(job, "w2") is None
    assert table.get_states([job.id, other.id, "0" * 32]) == [State.CANCELLED, State.ACCEPTED, None]
    assert read_event_types(client).count("cancelled") == 1
    assert table.accept(job).is_new
    assert not table.cancel("0" * 32)


def test_the_table_tells_what_it_knows_of_every_job(client: redis.Redis, table: JobTable, job: Job) -> None:
    jobs = [job.model_copy(update={"seed": seed}) for seed in range(1200)]
    for accepted in jobs:
        table.accept(accepted)
    claim = table.claim(job, "w1")
    assert claim is not None
    table.fail(claim, "out of memory")
    assert {record.job.id for record in table.iter_records()} == {accepted.id for accepted in jobs}
    record = table.get_record(job.id)
    assert record is not None
    assert (record.job, record.state, record.reason) == (job, State.FAILED, "out of memory")
    assert table.get_record("0" * 32) is None
    before = client.time()[0]
    table.accept(job)
    record = table.get_record(job.id)
    assert record
    assert record.reason == ""
    assert before <= record.state_since <= client.time()[0] + 1


def run_job(table: JobTable, job: Job) -> Visibility | None:
    table.accept(job, message=UNREAD_MESSAGE)
    claim = table.claim(job, "w")
    assert claim
    return table.complete(claim, make_completed(job))


def test_with_approval_no_event_of_a_job_is_anybodys_until_it_is_shown(
    table: JobTable, client: redis.Redis, job: Job
) -> None:
    update_runtime_settings(client, approval=True)
    assert run_job(table, job) is Visibility.HELD
    assert table.are_not_visible([job.id]) == [True]
    recorded = [entry for entry in EventReader(client).read() if not isinstance(entry.event, RuntimeSettingsChanged)]
    assert [entry.held for entry in recorded] == [True] * 4
    assert table.show(Shown(job_id=job.id, photo_id=job.photo_id, completed=make_completed(job), dreamt_at=1.0))
    assert table.are_not_visible([job.id]) == [False]
    assert not EventReader(client, recorded[-1].id).read()[-1].held


def test_approval_that_is_asked_for_during_a_dream_holds_it(table: JobTable, client: redis.Redis, job: Job) -> None:
    table.accept(job)
    claim = table.claim(job, "w")
    assert claim
    assert claim.visibility is Visibility.SHOWN
    update_runtime_settings(client, approval=True)
    assert table.complete(claim, make_completed(job)) is Visibility.HELD
    update_runtime_settings(client, approval=False)
    assert table.are_not_visible([job.id]) == [True]  # a held dream stays held until it is approved itself


def test_nobody_hears_of_a_claim_that_is_not_announced_before_it_is_decided_whether_its_dream_waits(
    table: JobTable, client: redis.Redis, job: Job
) -> None:
    table.accept(job)
    claim = table.claim(job, "w", announce=False)
    assert claim
    assert [entry.event.type for entry in EventReader(client).read()] == ["accepted"]
    with pytest.raises(AlreadyClaimed):
        table.claim(job, "other", announce=False)
    assert table.announce_start(claim, hold=True) is Visibility.HELD
    [started] = EventReader(client).read()[1:]
    assert (started.event, started.held) == (
        Started(job_id=job.id, photo_id=job.photo_id, title=job.recipe.title, worker="w"),
        True,
    )
    assert table.complete(claim, make_completed(job)) is Visibility.HELD
    assert table.announce_start(claim, hold=False) is None


@pytest.mark.parametrize("step", ["start", "frame", "completion"])
def test_a_dream_that_is_held_at_any_step_is_held_from_that_step_on(
    table: JobTable, client: redis.Redis, job: Job, step: str
) -> None:
    table.accept(job)
    claim = table.claim(job, "w", announce=False)
    assert claim
    table.announce_start(claim, hold=step == "start")
    table.record_progress(claim, "dreams/x/frames/00.jpg", 0.5, hold=step == "frame")
    table.record_progress(claim, "dreams/x/frames/01.jpg", 0.6)
    assert table.complete(claim, make_completed(job), hold=step == "completion") is Visibility.HELD
    first_held = {"start": 1, "frame": 2, "completion": 4}[step]
    assert [entry.held for entry in EventReader(client).read()] == [index >= first_held for index in range(5)]
    assert client.ttl(job_key(job.id)) == -1  # its record stays until somebody decides


def test_approval_is_as_the_settings_say_until_it_is_changed_at_runtime(client: redis.Redis, job: Job) -> None:
    table = JobTable(client, approval=True)
    assert run_job(table, job) is Visibility.HELD
    update_runtime_settings(client, approval=False)
    assert run_job(table, job.model_copy(update={"seed": 1})) is Visibility.SHOWN


@pytest.mark.parametrize("state", [None, State.ACCEPTED, State.STARTED, State.COMPLETED, State.CANCELLED])
def test_a_deleted_job_never_comes_back(client: redis.Redis, table: JobTable, job: Job, state: State | None) -> None:
    claim = None
    if state is not None:
        table.accept(job)
    if state is State.CANCELLED:
        table.cancel(job.id)
    if state in (State.STARTED, State.COMPLETED):
        claim = table.claim(job, "w")
        assert claim
    if state is State.COMPLETED and claim:
        table.complete(claim, make_completed(job))
    assert table.delete(job.id, job.photo_id)
    assert not table.delete(job.id, job.photo_id)
    assert not client.hexists(UNFINISHED_BY_SUBMITTER, job.submitter)
    assert not table.accept(job).is_new
    assert table.claim(job, "w") is None
    if claim:
        assert not table.record_progress(claim, "f", 0.5)
        assert table.complete(claim, make_completed(job)) is None
    shown_event = Shown(job_id=job.id, photo_id=job.photo_id, completed=make_completed(job), dreamt_at=1.0)
    assert not table.show(shown_event)
    assert table.get_state(job.id) is State.DELETED
    assert table.get_record(job.id) is None  # no record of the photo is left


def test_no_event_slips_past_approval_once_it_is_asked_for(table: JobTable, client: redis.Redis, job: Job) -> None:
    jobs = [job.model_copy(update={"seed": seed}) for seed in range(400)]
    with ThreadPoolExecutor(4) as executor:
        results = executor.map(lambda queued_job: run_job(table, queued_job), jobs)
        while client.xlen(STREAM) < 200:
            pass
        for approval in (True, False, True):
            update_runtime_settings(client, approval=approval)
        list(results)
    approval, held_job_ids, held_events = False, set[str](), 0
    approval_changes = iter((True, False, True))
    for recorded in EventReader(client).read(max_events=10_000):
        if isinstance(recorded.event, RuntimeSettingsChanged):
            approval = next(approval_changes)
            continue
        job_id = recorded.event.job_id  # type: ignore[union-attr]
        assert recorded.held == (approval or job_id in held_job_ids)
        if recorded.held:
            held_job_ids.add(job_id)
            held_events += 1
    assert 0 < held_events < 4 * len(jobs)
