"""The relay empties the outbox, tells that it is alive, and submits the jobs of a wiped broker again."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.client import Monitor

from producer.ledger import File, FileVersion, Ledger, LedgerError
from producer.outbox import relay
from producer.outbox.outbox import Outbox, OutboxItem
from producer.outbox.relay import OutboxRelay
from producer.outbox.submission import Outcome, SubmissionClient, SubmissionResult, Unavailable
from producer.recipe_choice import RecipeChoice
from shared.errors import ArtDreamError
from shared.jobs.events import Accepted, EventReader, FileRejected
from shared.jobs.job import Job, State
from shared.jobs.queue import submit
from shared.jobs.refusal import RefusalCause
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.recipe.recipe import load_recipe
from shared.redis_keys import RUNTIME_SETTINGS_KEY, heartbeat_key
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import motion_name, photo_name, working_photo_name
from shared.storage.store import Store, StoreError
from tests.metrics import count_faults
from tests.pictures import encode_jpeg, make_picture
from tests.producer.conftest import ProducerThread
from tests.waiting import WAIT_TIMEOUT_SECONDS, wait_until

JPEG_PHOTO = encode_jpeg(make_picture(1))
SMALL_PHOTO = encode_jpeg(make_picture(1, (64, 48)))


def make_jobs(count: int) -> list[Job]:
    return [Job(photo_id=f"{number:064x}", recipe=load_recipe("animals")) for number in range(count)]


def test_what_the_broker_forgot_is_submitted_again_unless_it_had_ended(
    settings: Settings, client: redis.Redis, store: Store
) -> None:
    waiting, ended, without_photo = make_jobs(3)
    table = JobTable(client)
    with SubmissionClient(settings) as submission_client:
        for job in (waiting, ended, without_photo):
            submission_client.submit(job, JPEG_PHOTO)
        table.cancel(ended.id)
        assert submission_client.resubmit_lost_jobs() == 0
        store.delete(photo_name(without_photo.photo_id))
        client.flushall()
        assert submission_client.resubmit_lost_jobs() == 1
        assert table.get_states([job.id for job in (waiting, ended, without_photo)]) == [State.QUEUED, None, None]
        assert submission_client.ledger.list_unfinished_job_ids() == [waiting.id]
        claim = table.claim(waiting, "a worker")
        assert claim
        assert table.fail(claim, "no matter")
        assert submission_client.resubmit_lost_jobs() == 0
        assert submission_client.ledger.list_unfinished_job_ids() == []


class LostJobClient(SubmissionClient):
    """Records what is submitted; while a lost job is, a guest's photo arrives."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.submitted, self.on_lost_job = list[str](), lambda: None

    def submit(self, job: Job, jpeg: bytes, **options: Any) -> SubmissionResult:
        self.submitted.append("guest")
        return super().submit(job, jpeg, **options)

    def resubmit_lost_job(self, job_id: str) -> bool:
        self.on_lost_job()
        self.submitted.append("lost")
        return super().resubmit_lost_job(job_id)


def test_a_guest_s_photo_does_not_wait_for_all_that_a_broker_forgot(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: the photo waited until all lost jobs were submitted again."""
    monkeypatch.setattr(relay, "OUTBOX_POLL_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(relay, "LOST_JOB_CONFIRM_SECONDS", 0.1)
    lost, guest = make_jobs(3), Job(photo_id="a" * 64, recipe=load_recipe("animals"))
    with LostJobClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        for job in lost:
            submission_client.submit(job, JPEG_PHOTO)
        submission_client.submitted.clear()
        client.flushall()
        with running_relay(settings, submission_client, outbox) as outbox_relay:

            def add_photo_once() -> None:
                submission_client.on_lost_job = lambda: None
                outbox.add(guest, JPEG_PHOTO, File(Path("/inbox/a.jpg"), FileVersion(1, 2)))
                outbox_relay.notify()

            submission_client.on_lost_job = add_photo_once
            wait_until(lambda: len(submission_client.submitted) == 4, "all are submitted")
        assert submission_client.submitted == ["lost", "guest", "lost", "lost"]
        assert JobTable(client).get_states([job.id for job in (*lost, guest)]) == [State.QUEUED] * 4


def test_a_photo_that_the_store_cannot_look_up_keeps_no_other_job_lost(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing: all photos were looked up before the first job, and each attempt ended at the same one."""
    for name in ("OUTBOX_POLL_INTERVAL_SECONDS", "LOST_JOB_CHECK_INTERVAL_SECONDS", "LOST_JOB_CONFIRM_SECONDS"):
        monkeypatch.setattr(relay, name, 0.1)
    jobs, exists, is_faulty = sorted(make_jobs(3), key=lambda job: job.id), Store.exists, True

    def look_up(self: Store, name: str) -> bool:
        if is_faulty and name == photo_name(jobs[0].photo_id):
            raise StoreError("The store is unavailable.")
        return exists(self, name)

    monkeypatch.setattr(Store, "exists", look_up)
    table = JobTable(client)
    with SubmissionClient(settings) as submission_client:
        for job in jobs:
            submission_client.submit(job, JPEG_PHOTO)
        client.flushall()
        with running_relay(settings, submission_client, Outbox(submission_client.ledger)):
            wait_until(lambda: table.get_states([job.id for job in jobs]) == [None, State.QUEUED, State.QUEUED])
            is_faulty = False
            wait_until(lambda: table.get_state(jobs[0].id) is State.QUEUED)


def test_a_job_that_is_just_being_sent_is_not_taken_for_lost(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing with one check: the producer submitted it, and `artdream send` said that it was known."""
    monkeypatch.setattr(relay, "OUTBOX_POLL_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(relay, "LOST_JOB_CONFIRM_SECONDS", WAIT_TIMEOUT_SECONDS)
    checks = list[list[str]]()
    [job] = make_jobs(1)

    class CheckingClient(SubmissionClient):
        def find_lost_jobs(self) -> list[str]:
            checks.append(super().find_lost_jobs())
            return checks[-1]

    with (
        SubmissionClient(settings) as sending_client,
        CheckingClient(settings) as watching_client,
        running_relay(settings, watching_client, Outbox(watching_client.ledger)) as outbox_relay,
    ):
        wait_until(lambda: checks)

        def submit_late(*arguments: Any, **options: Any) -> bool:
            outbox_relay._next_lost_job_check = 0.0
            wait_until(lambda: [job.id] in checks, "the job is looked for between its record and its submission")
            return submit(*arguments, **options)

        monkeypatch.setattr("producer.outbox.submission.submit", submit_late)
        assert sending_client.submit(job, JPEG_PHOTO).outcome is Outcome.SUBMITTED
    assert "forgotten" not in caplog.text


@pytest.mark.whole_component
def test_a_producer_notices_by_itself_that_the_broker_was_wiped(
    producer_thread: ProducerThread, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing without `resubmit_lost_jobs` in the relay: the photos stayed lost."""
    monkeypatch.setattr(relay, "LOST_JOB_CHECK_INTERVAL_SECONDS", 0.2)
    producer_thread.start()
    for number in range(5):
        (producer_thread.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
    wait_until(lambda: len(producer_thread.count_queued_jobs()) == 5)
    queued_before = producer_thread.count_queued_jobs()
    client.flushall()
    wait_until(lambda: len(producer_thread.count_queued_jobs()) == 5)
    assert producer_thread.count_queued_jobs() == queued_before
    assert producer_thread.count_waiting() == 5


class FaultyClient(SubmissionClient):
    """Raises errors instead of submitting the first jobs, and counts the submissions."""

    def __init__(self, settings: Settings, *errors: Exception) -> None:
        super().__init__(settings)
        self.errors, self.count = [*errors], 0

    def submit(self, job: Job, jpeg: bytes, **options: Any) -> SubmissionResult:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return super().submit(job, jpeg, **options)


class FaultyUploadClient(SubmissionClient):
    """Raises errors instead of the first uploads, and records what goes out."""

    def __init__(self, settings: Settings, *errors: Exception) -> None:
        super().__init__(settings)
        self.errors, self.submitted = [*errors], list[str]()

    def submit(self, job: Job, jpeg: bytes, **options: Any) -> SubmissionResult:
        self.submitted.append(f"job {job.photo_id}")
        return super().submit(job, jpeg, **options)

    def upload_photo(self, photo_id: str, jpeg: bytes) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.submitted.append(f"photo {photo_id}")
        super().upload_photo(photo_id, jpeg)


@contextmanager
def running_relay(settings: Settings, submission_client: SubmissionClient, outbox: Outbox) -> Iterator[OutboxRelay]:
    """Run a relay, and stop it at the end."""
    recipe_choice = RecipeChoice(settings, submission_client.client)
    outbox_relay = OutboxRelay(submission_client, outbox, recipe_choice, "host-1", "the inbox")
    outbox_relay.start()
    try:
        yield outbox_relay
    finally:
        outbox_relay.stop(WAIT_TIMEOUT_SECONDS)
        assert not outbox_relay.is_alive()


def read_commands(monitor: Monitor, *, until: str) -> list[str]:
    """Return the commands that the broker executes, up to the next one that begins with `until`."""
    commands = list[str]()
    while not (commands and commands[-1].startswith(until)):
        commands.append(monitor.next_command()["command"])
    return commands


def add_photos(outbox: Outbox, count: int) -> list[Job]:
    jobs = make_jobs(count)
    for number, job in enumerate(jobs):
        outbox.add(job, JPEG_PHOTO, File(Path(f"/inbox/{number}.jpg"), FileVersion(1, 2)))
    return jobs


def add_photos_in_two_sizes(outbox: Outbox, count: int) -> list[str]:
    """Add photos, and return their ids."""
    jobs = make_jobs(count)
    for job in jobs:
        outbox.add(job, JPEG_PHOTO, File(Path(f"/inbox/{job.photo_id}.jpg"), FileVersion(1, 2)), SMALL_PHOTO)
    return [job.photo_id for job in jobs]


def test_a_producer_tells_that_it_is_alive_until_it_stops(settings: Settings, client: redis.Redis) -> None:
    registry = HeartbeatRegistry(client)
    started_at = time.time()
    with SubmissionClient(settings) as submission_client:
        with running_relay(settings, submission_client, Outbox(submission_client.ledger)):
            wait_until(registry.list_heartbeats, "alive")
            [heartbeat] = registry.list_heartbeats()
            assert (heartbeat.part, heartbeat.name) == (Component.PRODUCER, "host-1")
            assert (heartbeat.state, heartbeat.detail) == ("watching", "the inbox")
            assert started_at <= heartbeat.since <= time.time()
        assert registry.list_heartbeats() == []


def test_photos_wait_while_the_operator_pauses_the_intake(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "HEARTBEAT_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(relay, "OUTBOX_POLL_INTERVAL_SECONDS", 0.1)
    update_runtime_settings(client, paused=True)
    registry = HeartbeatRegistry(client)
    with SubmissionClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: [heartbeat.state for heartbeat in registry.list_heartbeats()] == ["paused"], "paused")
            jobs = add_photos(outbox, 2)
            assert JobTable(client).get_states([job.id for job in jobs]) == [None, None]
            update_runtime_settings(client, paused=False)
            wait_until(lambda: len(outbox) == 0, "submitted")
        assert JobTable(client).get_states([job.id for job in jobs]) == [State.QUEUED] * 2


def test_a_photo_is_submitted_as_soon_as_the_relay_is_told_of_it(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "OUTBOX_POLL_INTERVAL_SECONDS", WAIT_TIMEOUT_SECONDS)
    with SubmissionClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        with running_relay(settings, submission_client, outbox) as outbox_relay:
            for job in add_photos(outbox, 2):
                outbox_relay.notify()
                wait_until(lambda job=job: JobTable(client).get_state(job.id) is State.QUEUED, "submitted")  # type: ignore[misc]


def test_a_photo_that_arrives_waits_for_no_other_call_to_the_broker(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with `_exchange_state` before each item: the settings were read first."""
    monkeypatch.setattr(relay, "OUTBOX_POLL_INTERVAL_SECONDS", WAIT_TIMEOUT_SECONDS)
    monkeypatch.setattr("producer.recipe_choice.SETTINGS_POLL_INTERVAL_SECONDS", 0)
    read_settings = f"HGETALL {RUNTIME_SETTINGS_KEY}"
    with SubmissionClient(settings) as submission_client, client.monitor() as monitor:
        outbox = Outbox(submission_client.ledger)
        with running_relay(settings, submission_client, outbox) as outbox_relay:
            for job in make_jobs(2):
                outbox.add(job, JPEG_PHOTO, File(Path(f"/inbox/{job.photo_id}.jpg"), FileVersion(1, 2)))
                outbox_relay.notify()
                commands_before_job = read_commands(monitor, until="EVALSHA")
                read_commands(monitor, until=read_settings)
        assert read_settings not in commands_before_job


def test_an_outage_is_counted_and_told_once_and_the_photos_go_out_in_order(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(relay, "INITIAL_RETRY_DELAY_SECONDS", 0.001)
    faults = count_faults("away")
    errors = [
        Unavailable("The store is unavailable."),
        LedgerError("The ledger is unavailable."),
        Unavailable("The store is unavailable again."),
    ]
    with FaultyClient(settings, *errors) as submission_client:
        outbox = Outbox(submission_client.ledger)
        jobs = add_photos(outbox, 2)
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: len(outbox) == 0, "submitted")
    accepted = [recorded.event for recorded in EventReader(client).read() if isinstance(recorded.event, Accepted)]
    assert [event.job_id for event in accepted] == [job.id for job in jobs]
    assert count_faults("away") == faults + 1
    assert [record.message for record in caplog.records] == [
        "The store is unavailable. Photos wait in the spool and go out when it is back.",
        "Store and broker are back.",
    ]


def test_a_producer_is_alive_and_obeys_the_operator_while_only_the_store_is_away(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing: with a photo in the outbox, the producer vanished from the console, and read no settings."""
    monkeypatch.setattr(relay, "MAX_RETRY_DELAY_SECONDS", 0.1)
    monkeypatch.setattr(relay, "HEARTBEAT_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(relay, "OUTBOX_POLL_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr("producer.recipe_choice.SETTINGS_POLL_INTERVAL_SECONDS", 0.1)
    key = heartbeat_key(Component.PRODUCER, "host-1")

    def wait_for_heartbeat(state: str) -> None:
        client.delete(key)
        wait_until(lambda: f'"state":"{state}"' in (client.get(key) or ""), f"alive and {state}")

    with FaultyClient(settings, *[Unavailable("The store is unavailable.")] * 100_000) as submission_client:
        outbox = Outbox(submission_client.ledger)
        [job] = add_photos(outbox, 1)
        with running_relay(settings, submission_client, outbox) as outbox_relay:
            wait_until(lambda: "The store is unavailable." in caplog.text, "the outage is noticed")
            wait_for_heartbeat("watching")
            update_runtime_settings(client, recipes=("lines",))
            recipe_choice = outbox_relay._recipe_choice
            wait_until(lambda: recipe_choice.choose_recipe(job.photo_id).recipe.name == "lines", "the choice is read")
            update_runtime_settings(client, paused=True)
            wait_for_heartbeat("paused")
            submission_client.errors.clear()  # The store is back.
            for _ in range(2):
                wait_for_heartbeat("paused")
            assert len(outbox) == 1
            update_runtime_settings(client, paused=False)
            wait_until(lambda: len(outbox) == 0, "submitted")


def test_the_pauses_between_attempts_grow_up_to_a_limit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MAX_RETRY_DELAY_SECONDS", 2.0)
    pauses: list[float] = []
    with FaultyClient(settings, *[Unavailable("away")] * 5) as submission_client:
        outbox = Outbox(submission_client.ledger)
        add_photos(outbox, 1)
        outbox_relay = OutboxRelay(
            submission_client, outbox, RecipeChoice(settings, submission_client.client), "host-1", ""
        )
        monkeypatch.setattr(outbox_relay._stopping, "wait", pauses.append)
        outbox_relay.start()
        wait_until(lambda: len(outbox) == 0, "submitted")
        outbox_relay.stop(WAIT_TIMEOUT_SECONDS)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0]


def test_a_fault_leaves_a_photo_out_until_the_next_start_and_blocks_no_other(
    settings: Settings, client: redis.Redis
) -> None:
    faults = count_faults("bug")
    with FaultyClient(settings, RuntimeError("a fault")) as submission_client:
        outbox = Outbox(submission_client.ledger)
        jobs = add_photos(outbox, 3)
        job_ids = [job.id for job in jobs]
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: len(outbox) == 1, "the others are out")
            assert JobTable(client).get_states(job_ids) == [None, State.QUEUED, State.QUEUED]
        assert count_faults("bug") == faults + 1
        assert submission_client.count == 3
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: len(outbox) == 0, "out")
        assert JobTable(client).get_states(job_ids) == [State.QUEUED] * 3


def test_what_is_in_the_outbox_goes_out_before_the_relay_stops(settings: Settings, client: redis.Redis) -> None:
    with SubmissionClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        jobs = add_photos(outbox, 5)
        with running_relay(settings, submission_client, outbox):
            pass
        assert len(outbox) == 0
        assert JobTable(client).get_states([job.id for job in jobs]) == [State.QUEUED] * 5


def test_a_relay_that_is_stopped_in_an_outage_ends_and_keeps_the_photo(
    settings: Settings, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with FaultyClient(settings, *[Unavailable("The store is unavailable.")] * 100) as submission_client:
        outbox = Outbox(submission_client.ledger)
        add_photos(outbox, 1)
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: "The store is unavailable." in caplog.text, "the outage is noticed")
        assert len(outbox) == 1
    assert HeartbeatRegistry(client).list_heartbeats() == []


def test_a_submission_that_hangs_does_not_keep_the_producer_from_stopping(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitting, released = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        submitting.set()
        released.wait()
        raise Unavailable("The store is unavailable.")

    with SubmissionClient(settings) as submission_client:
        monkeypatch.setattr(submission_client, "submit", hang)
        outbox = Outbox(submission_client.ledger)
        add_photos(outbox, 1)
        with running_relay(settings, submission_client, outbox) as outbox_relay:
            wait_until(submitting.is_set, "the submission hangs")
            outbox_relay.stop(0.01)
            assert outbox_relay.is_alive()
            released.set()


def test_a_photo_that_cannot_be_read_any_more_stays_in_the_outbox_and_blocks_no_other(
    settings: Settings, client: redis.Redis
) -> None:
    faults = count_faults("bug")
    with SubmissionClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        lost, other = add_photos(outbox, 2)
        outbox._paths(lost.photo_id).photo.unlink()
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: JobTable(client).get_state(other.id) is State.QUEUED, "the other is out")
        assert len(outbox) == 1
    assert count_faults("bug") == faults + 1


def test_a_relay_that_fails_until_it_is_stopped_no_longer_tells_that_it_is_alive(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = count_faults("bug")

    def fail(_: RecipeChoice) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(RecipeChoice, "refresh", fail)
    with SubmissionClient(settings) as submission_client:
        with running_relay(settings, submission_client, Outbox(submission_client.ledger)):
            wait_until(lambda: count_faults("bug") == faults + 1, "the failure is counted")
        assert HeartbeatRegistry(client).list_heartbeats() == []


CAUSE = RefusalCause("too_large", {"most": 300})


def test_a_refusal_is_published(settings: Settings, client: redis.Redis) -> None:
    with SubmissionClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        outbox.add_refusal(File(Path("/inbox/a.jpg"), FileVersion(1, 2)), "", "is too large", CAUSE)
        outbox.add_refusal(File(Path("/inbox/b.jpg"), FileVersion(1, 2)), "", "is empty")  # as earlier versions did
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: len(outbox) == 0, "published")
        assert submission_client.ledger.query("SELECT * FROM causes") == []
    assert [recorded.event for recorded in EventReader(client).read()] == [
        FileRejected(file="a.jpg", reason="is too large", cause=CAUSE),
        FileRejected(file="b.jpg", reason="is empty"),
    ]


def test_a_lost_job_of_another_version_stays_and_the_others_are_submitted_again(
    producer_thread: ProducerThread,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Seen failing with unchecked jobs: the relay ended silently, and nothing was submitted any more."""
    monkeypatch.setattr(relay, "LOST_JOB_CHECK_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(relay, "OUTBOX_POLL_INTERVAL_SECONDS", 0.1)
    incompatible, lost = make_jobs(2)
    with SubmissionClient(producer_thread.settings) as submission_client:
        for job in (incompatible, lost):
            submission_client.submit(job, JPEG_PHOTO)
    ledger = Ledger(producer_thread.settings.data)
    with ledger.transaction() as db:
        db.execute(
            "UPDATE open SET job = replace(job, '\"version\":1', '\"version\":2') WHERE job_id = ?", (incompatible.id,)
        )
    client.flushall()
    producer_thread.start()
    wait_until(lambda: JobTable(client).get_states([lost.id]) == [State.QUEUED])
    for number in range(2):  # after a further check
        (producer_thread.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
        wait_until(lambda number=number: producer_thread.count_waiting() == number + 2)  # type: ignore[misc]
    producer_thread.stop()
    assert incompatible.id in ledger.list_unfinished_job_ids()
    assert caplog.text.count(f"Job {incompatible.id} in the ledger is of another version") == 1
    assert "Traceback" not in caplog.text
    ledger.close()


def test_a_relay_that_fails_starts_again(
    producer_thread: ProducerThread, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing without the last `except`: the thread ended, and the producer ran on as if it submitted."""
    monkeypatch.setattr(relay, "MAX_RETRY_DELAY_SECONDS", 0.1)
    failures = iter([ValueError("a bug")])
    resubmit_lost_jobs = OutboxRelay._resubmit_lost_jobs

    def fail_once(self: OutboxRelay) -> None:
        for failure in failures:
            raise failure
        resubmit_lost_jobs(self)

    monkeypatch.setattr(OutboxRelay, "_resubmit_lost_jobs", fail_once)
    producer_thread.start()
    wait_until(lambda: "a bug" in caplog.text)
    (producer_thread.inbox / "a.jpg").write_bytes(JPEG_PHOTO)
    wait_until(lambda: producer_thread.count_waiting() == 1)


def test_a_producer_ends_if_its_relay_has_ended(
    producer_thread: ProducerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with nobody looking: photos were accepted, and none was submitted."""
    monkeypatch.setattr(OutboxRelay, "run", lambda _: None)
    producer_thread.start()
    wait_until(lambda: not producer_thread._thread.is_alive())
    with pytest.raises(ArtDreamError, match="no longer submits"):
        producer_thread.stop()


def test_a_photo_that_another_producer_has_just_submitted_is_no_fault(
    producer_thread: ProducerThread, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing with every missing file as a bug: a traceback, and a fault in the metrics."""
    next_item = Outbox.next_item

    def take_first(self: Outbox, after: int = 0) -> OutboxItem | None:
        item = next_item(self, after)
        if item is not None and item.file_name == "a.jpg":
            self.mark_submitted(item)
        return item

    monkeypatch.setattr(Outbox, "next_item", take_first)
    producer_thread.start()
    for name, photo in (("a.jpg", JPEG_PHOTO), ("b.jpg", encode_jpeg(make_picture(2)))):
        (producer_thread.inbox / name).write_bytes(photo)
    wait_until(lambda: producer_thread.count_waiting() == 1)
    producer_thread.stop()
    assert producer_thread.count_waiting() == 1
    assert "left out" not in caplog.text


def test_no_guest_waits_for_the_large_photo_of_another(settings: Settings, store: Store) -> None:
    with FaultyUploadClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        photo_ids = add_photos_in_two_sizes(outbox, 3)
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: len(submission_client.submitted) == 6)
    jobs, photos = [[f"{kind} {photo_id}" for photo_id in photo_ids] for kind in ("job", "photo")]
    assert submission_client.submitted == jobs + photos
    for photo_id in photo_ids:
        assert store.get(working_photo_name(photo_id)) == SMALL_PHOTO
        assert store.get(photo_name(photo_id)) == JPEG_PHOTO


def test_a_video_goes_out_with_its_photo(settings: Settings, store: Store) -> None:
    [job] = make_jobs(1)
    with SubmissionClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        outbox.add(job, JPEG_PHOTO, File(Path("/inbox/1.mov"), FileVersion(1, 2)), motion=b"a video")
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: store.get(photo_name(job.photo_id)) and outbox.next_item() is None)
    assert store.get(motion_name(job.photo_id)) == b"a video"


def test_large_photos_follow_when_the_store_is_back_and_though_the_intake_is_paused(
    settings: Settings, client: redis.Redis, store: Store
) -> None:
    with FaultyUploadClient(settings, *[Unavailable("The store is unavailable.")] * 2) as submission_client:
        outbox = Outbox(submission_client.ledger)
        photo_ids = add_photos_in_two_sizes(outbox, 2)
        for item in iter(outbox.next_item, None):
            submission_client.submit(item.job, SMALL_PHOTO, is_working_photo=True)  # type: ignore[arg-type]
            outbox.mark_submitted(item)
        update_runtime_settings(client, paused=True)
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: all(store.get(photo_name(photo_id)) for photo_id in photo_ids))
            wait_until(lambda: outbox.next_upload() is None)


class RefusingClient(SubmissionClient):
    """Raises errors at the jobs and full photos of some photo ids, as a store does that refuses these."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.refused_jobs, self.refused_photos = set[str](), set[str]()

    def submit(self, job: Job, jpeg: bytes, **options: Any) -> SubmissionResult:
        if job.photo_id in self.refused_jobs:
            raise Unavailable("The video is too large.")
        return super().submit(job, jpeg, **options)

    def upload_photo(self, photo_id: str, jpeg: bytes) -> None:
        if photo_id in self.refused_photos:
            raise Unavailable("The photo is too large.")
        super().upload_photo(photo_id, jpeg)


def test_a_store_that_refuses_large_photos_keeps_no_guest_waiting(
    settings: Settings,
    client: redis.Redis,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Seen failing: the first large photo was tried until it was taken, and no other photo went out."""
    monkeypatch.setattr(relay, "OUTBOX_POLL_INTERVAL_SECONDS", 0.1)
    first, second = make_jobs(2)
    with RefusingClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        submission_client.refused_photos = {first.photo_id, second.photo_id}
        with running_relay(settings, submission_client, outbox) as outbox_relay:
            for job in (first, second):
                outbox.add(job, JPEG_PHOTO, File(Path(f"/inbox/{job.photo_id}.jpg"), FileVersion(1, 2)), SMALL_PHOTO)
                outbox_relay.notify()
                wait_until(lambda job=job: JobTable(client).get_state(job.id) is State.QUEUED, "submitted")  # type: ignore[misc]
                wait_until(lambda: "The photo is too large." in caplog.text)
            submission_client.refused_photos = {first.photo_id}
            wait_until(lambda: store.get(photo_name(second.photo_id)), "the second photo overtakes the first")
            assert store.get(photo_name(first.photo_id)) is None
            submission_client.refused_photos = set()
            wait_until(lambda: store.get(photo_name(first.photo_id)), "the first photo is not lost")


def test_a_photo_that_alone_is_refused_keeps_no_other_back(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing: the first photo was tried until it was taken."""
    monkeypatch.setattr(relay, "INITIAL_RETRY_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(relay, "OUTBOX_POLL_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr("producer.outbox.retry_order.MAX_REFUSED_DELAY_SECONDS", 0.1)
    table = JobTable(client)
    with RefusingClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        refused, *others = add_photos(outbox, 4)
        submission_client.refused_jobs = {refused.photo_id}
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: all(table.get_state(job.id) is State.QUEUED for job in others), "the others go out")
            message = "0.jpg waits in the spool while others go out, and is tried again: The video is too large."
            wait_until(lambda: message in caplog.text)
            assert table.get_state(refused.id) is None
            submission_client.refused_jobs = set()
            wait_until(lambda: len(outbox) == 0, "nothing is lost")
    accepted = [recorded.event for recorded in EventReader(client).read() if isinstance(recorded.event, Accepted)]
    assert [event.job_id for event in accepted] == [job.id for job in (*others, refused)]
    assert [record.message for record in caplog.records] == [
        "The video is too large. Photos wait in the spool and go out when it is back.",
        "Store and broker are back.",
        message,
    ]


def test_a_refused_file_that_is_published_while_the_store_is_away_is_no_sign_that_it_is_back(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing with each success as a sign: the photos that waited were taken for refused ones."""
    monkeypatch.setattr(relay, "INITIAL_RETRY_DELAY_SECONDS", 0.001)
    errors = [Unavailable("The store is unavailable.")] * (relay.ATTEMPTS_IN_ORDER + 1)
    with FaultyClient(settings, *errors) as submission_client:
        outbox = Outbox(submission_client.ledger)
        add_photos(outbox, 1)
        outbox.add_refusal(File(Path("/inbox/b.jpg"), FileVersion(1, 2)), "", "is empty")
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: len(outbox) == 0, "all is out")
    assert [type(recorded.event) for recorded in EventReader(client).read()][:2] == [FileRejected, Accepted]
    assert [record.message for record in caplog.records] == [
        "The store is unavailable. Photos wait in the spool and go out when it is back.",
        "Store and broker are back.",
    ]


def test_a_fault_with_one_large_photo_keeps_no_other_back(settings: Settings, store: Store) -> None:
    with FaultyUploadClient(settings, ZeroDivisionError()) as submission_client:
        outbox = Outbox(submission_client.ledger)
        first_id, second_id = add_photos_in_two_sizes(outbox, 2)
        with running_relay(settings, submission_client, outbox):
            wait_until(lambda: store.get(photo_name(second_id)))
        upload = outbox.next_upload()
    assert upload
    assert upload.photo_id == first_id  # for the next start
    assert store.get(photo_name(first_id)) is None
