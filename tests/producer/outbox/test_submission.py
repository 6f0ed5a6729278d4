"""Submission: no photo is lost or submitted twice, whatever is unavailable or killed."""

import time
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import REGISTRY
from pydantic import SecretStr

from producer.decoding.convert import convert
from producer.detection.stability import read_file_version
from producer.ledger import File, Ledger
from producer.outbox.outbox import Outbox
from producer.outbox.submission import Outcome, SubmissionClient, Unavailable
from producer.recipe_choice import RecipeChoice
from shared.broker.client import SOCKET_TIMEOUT_SECONDS, connect
from shared.guest_upload_names import GuestUpload, make_file_name
from shared.jobs.events import HELD_FIELD, EventReader, FileRejected, Stage
from shared.jobs.job import Job, Lane, Origin, State
from shared.jobs.queue import count_queued, submit
from shared.jobs.refusal import RefusalCause
from shared.jobs.state_machine import ENDED_JOB_TTL_SECONDS
from shared.jobs.table import JobTable
from shared.monitoring.usage_counts import read_usage_counts
from shared.monitoring.usage_report import estimate_percentile, merge_counts, merge_wait_buckets
from shared.recipe.recipe import load_recipe
from shared.redis_keys import job_key
from shared.runtime_settings import (
    initialize_runtime_settings,
    persist_runtime_settings,
    read_runtime_settings,
    update_runtime_settings,
)
from shared.settings import Settings
from shared.storage.object_names import photo_name
from shared.storage.store import Store
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.producer.conftest import ProducerThread
from tests.servers import SshServer, Valkey
from tests.sidecars import make_sidecar
from tests.waiting import wait_until

PHOTO = convert(encode_heic(make_picture(1)))


@pytest.mark.whole_component
def test_the_broker_goes_and_comes_back_and_nothing_is_lost(
    producer_thread: ProducerThread, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"appendonly": "yes", "appendfsync": "always"}
    with Valkey(data_dir=tmp_path / "broker", config=config) as first:
        port, url = first.port, first.url
        producer_thread.client = connect(url)
        producer_thread.start(broker_url=SecretStr(url))
        (producer_thread.inbox / "before.jpg").write_bytes(encode_jpeg(make_picture(1)))
        wait_until(lambda: len(producer_thread.count_queued_jobs()) == 1)
    for number in range(2, 12):
        (producer_thread.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
    wait_until(lambda: "The broker is unavailable" in caplog.text)
    with Valkey(port=port, data_dir=tmp_path / "broker", config=config):
        wait_until(lambda: _is_reachable(producer_thread.client) and producer_thread.count_waiting() == 11)
        producer_thread.stop()
        assert sorted(producer_thread.count_queued_jobs().values()) == [1] * 11
        producer_thread.client.close()
    unavailable_message, recovered_message = [record.message for record in caplog.records]
    assert "Photos wait in the spool and go out when it is back" in unavailable_message
    assert recovered_message == "Store and broker are back."


def test_a_producer_is_connected_before_its_first_photo_comes(
    settings: Settings, sshd: SshServer, tmp_path: Path
) -> None:
    ssh = {"ssh_key": sshd.key, "ssh_known_hosts": sshd.known_hosts}
    store = {"store_url": f"ssh+sftp://{sshd.address}{tmp_path / 'remote'}"}
    with SubmissionClient(settings.model_copy(update=ssh | store)) as submission:
        wait_until(lambda: not sshd.list_sessions())  # the session in which the fixture checked the server
        submission.open_connections()
        assert sshd.list_sessions()


@pytest.mark.whole_component
def test_stopping_does_not_wait_for_a_broker_that_is_away(
    producer_thread: ProducerThread, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Valkey() as server:
        url = server.url
    (producer_thread.inbox / "a.jpg").write_bytes(encode_jpeg(make_picture(1)))
    producer_thread.start(broker_url=SecretStr(url))
    wait_until(lambda: "The broker is unavailable" in caplog.text)
    assert producer_thread.stop() < SOCKET_TIMEOUT_SECONDS
    producer_thread.start()
    wait_until(lambda: producer_thread.count_waiting() == 1)


@pytest.mark.whole_component
def test_a_store_that_cannot_be_written_holds_photos_back_until_it_can(
    producer_thread: ProducerThread, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    obstacle = producer_thread.settings.data / "store" / "photos"
    obstacle.write_text("in the way")
    producer_thread.start()
    for number in range(8):
        (producer_thread.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
    wait_until(lambda: "could not be written to the store" in caplog.text)
    assert producer_thread.count_waiting() == 0
    obstacle.unlink()
    wait_until(lambda: producer_thread.count_waiting() == 8)
    producer_thread.stop()
    assert sorted(producer_thread.count_queued_jobs().values()) == [1] * 8
    assert all(store.get(photo_name(convert(encode_jpeg(make_picture(number))).photo_id)) for number in range(8))
    assert len(caplog.records) == 2  # away, back


@pytest.mark.whole_component
@pytest.mark.parametrize("step", ["nothing", "stored", "accepted", "queued", "spooled"])
def test_a_producer_killed_at_any_step_leaves_exactly_one_job(
    producer_thread: ProducerThread, client: redis.Redis, store: Store, step: str
) -> None:
    """A producer was killed after this step; a new one processes the file from the beginning."""
    file = encode_heic(make_picture(3))
    photo = convert(file)
    recipe_choice = RecipeChoice(producer_thread.settings, client)
    recipe_choice.refresh()
    job = Job(photo_id=photo.photo_id, recipe=recipe_choice.choose_recipe(photo.photo_id).recipe)
    if step != "nothing":
        store.put(photo_name(photo.photo_id), photo.jpeg)
    if step == "accepted":
        JobTable(client).accept(job)
    if step in ("queued", "spooled"):
        with SubmissionClient(producer_thread.settings) as submission:
            submission.submit(job, photo.jpeg)
        (producer_thread.settings.data / "ledger.sqlite3").unlink()
    (producer_thread.inbox / "a.heic").write_bytes(file)
    if step == "spooled":
        version = read_file_version(producer_thread.inbox / "a.heic")
        assert version is not None
        ledger = Ledger(producer_thread.settings.data)
        Outbox(ledger).add(job, photo.jpeg, File(producer_thread.inbox / "a.heic", version))
        ledger.close()
    producer_thread.start()
    # The caller that accepted the job may queue it first.
    wait_until(lambda: count_ledger_files(producer_thread.settings) == 1 and producer_thread.count_queued_jobs())
    producer_thread.stop()
    assert producer_thread.count_queued_jobs() == {job.id: 1}
    assert producer_thread.count_waiting() == 1


def count_ledger_files(settings: Settings) -> int:
    """Return the number of files of the inbox that the ledger has as processed."""
    with SubmissionClient(settings) as submission:
        return len(submission.ledger.list_processed_files(settings.inbox))


def make_job(recipe: str = "animals", seed: int = 0) -> Job:
    return Job(photo_id=PHOTO.photo_id, recipe=load_recipe(recipe), seed=seed)


def test_the_same_photo_again_is_known_and_a_failed_one_gets_another_chance(
    submission_client: SubmissionClient, client: redis.Redis
) -> None:
    assert submission_client.submit(make_job(), PHOTO.jpeg).outcome is Outcome.SUBMITTED
    repeated = submission_client.submit(make_job(), PHOTO.jpeg)
    assert repeated.outcome is Outcome.KNOWN
    table = JobTable(client)
    claim = table.claim(repeated.job, "a worker")
    assert claim is not None
    table.fail(claim, "no reason")
    assert submission_client.submit(make_job(), PHOTO.jpeg).outcome is Outcome.SUBMITTED
    assert table.get_state(repeated.job.id) is State.QUEUED
    table.cancel(repeated.job.id)
    assert submission_client.submit(make_job(), PHOTO.jpeg).outcome is Outcome.SUBMITTED


@pytest.mark.parametrize(
    ("state", "is_submitted"),
    [
        (None, False),
        (State.ACCEPTED, False),
        (State.QUEUED, True),
        (State.STARTED, True),
        (State.COMPLETED, True),
        (State.FAILED, False),
        (State.CANCELLED, False),
        (State.DELETED, True),
    ],
)
def test_a_job_need_not_be_submitted_if_it_waits_runs_or_is_done(
    state: State | None, is_submitted: bool, submission_client: SubmissionClient, client: redis.Redis, store: Store
) -> None:
    if state:
        client.hset(job_key(make_job().id), mapping={"state": state, "at": "1.0"})
    assert submission_client.is_submitted(make_job()) is is_submitted
    outcome = submission_client.submit(make_job(), PHOTO.jpeg).outcome
    assert outcome is (Outcome.KNOWN if is_submitted else Outcome.SUBMITTED)
    assert (store.get(photo_name(PHOTO.photo_id)) is None) is is_submitted
    assert submission_client.ledger.list_unfinished_job_ids() == ([] if is_submitted else [make_job().id])


def test_a_submission_is_counted_and_its_stages_are_recorded_once(submission_client: SubmissionClient) -> None:
    def read_metrics() -> list[float]:
        return [
            REGISTRY.get_sample_value(name, labels) or 0
            for name, labels in (
                ("artdream_jobs_total", {"outcome": "submitted"}),
                ("artdream_jobs_total", {"outcome": "already known"}),
                ("artdream_stage_seconds_count", {"stage": "convert"}),
                ("artdream_stage_seconds_count", {"stage": "upload"}),
            )
        ]

    job = make_job().model_copy(update={"stages": {Stage.CONVERT: 2.0}})
    before = read_metrics()
    submitted = submission_client.submit(job, PHOTO.jpeg).job
    assert submission_client.submit(job, PHOTO.jpeg).job == job
    assert [after - earlier for earlier, after in zip(before, read_metrics(), strict=True)] == [1, 1, 1, 1]
    assert submitted.stages.keys() == {Stage.CONVERT, Stage.UPLOAD}
    assert submitted.stages[Stage.CONVERT] == 2.0
    assert 0 <= submitted.stages[Stage.UPLOAD] < 60
    assert submission_client.ledger.load_unfinished_job(job.id) == submitted


def test_a_refusal_is_told_and_counted(submission_client: SubmissionClient, client: redis.Redis) -> None:
    def count_refusals() -> float:
        return REGISTRY.get_sample_value("artdream_refused_files_total") or 0

    before = count_refusals()
    submission_client.publish_refusal("a.jpg", "is empty", event_id="1")
    [recorded] = EventReader(client).read()
    assert recorded.event == FileRejected(file="a.jpg", reason="is empty")
    assert count_refusals() == before + 1


def test_a_refusal_that_is_told_twice_is_counted_once_and_by_known_causes_only(
    submission_client: SubmissionClient, client: redis.Redis, store: Store
) -> None:
    uploaded = make_file_name(GuestUpload("ab" * 8, "cd" * 16), "heic")
    for _ in range(2):  # the producer was killed before it had noted that it was told
        submission_client.publish_refusal(uploaded, "is damaged", RefusalCause("damaged"), event_id="1")
    submission_client.publish_refusal("a.jpg", "is odd", RefusalCause("ada_lovelace"), event_id="2")
    counts = merge_counts(read_usage_counts(client, store, 0, 2**31).values())
    assert counts == {"refused|phone|damaged": 1, "refused|inbox|other": 1}


def test_the_time_in_the_outbox_is_part_of_the_wait(
    submission_client: SubmissionClient, client: redis.Redis, store: Store
) -> None:
    stages = {Stage.SETTLE: 20.0, Stage.CONVERT: 40.0}
    decoded = Job(photo_id=PHOTO.photo_id, recipe=load_recipe("animals"), stages=stages)
    submission_client.submit(decoded, PHOTO.jpeg, added_at=time.time() - 600)
    table = JobTable(client)
    claim = table.claim(decoded, "worker-1")
    assert claim
    assert table.complete(claim, make_sidecar(decoded).to_completed_event())
    waits = merge_wait_buckets(merge_counts(read_usage_counts(client, store, 0, 2**31).values()), list(Origin))
    assert estimate_percentile(waits, 0.5) == pytest.approx(660, rel=0.1)


def test_a_job_that_is_sent_again_while_a_relay_forgets_that_it_failed_is_remembered(
    submission_client: SubmissionClient, settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: its record was gone, and a broker that was wiped then would have lost the job."""
    job = make_job()
    submission_client.submit(job, PHOTO.jpeg)
    claim = JobTable(client).claim(job, "worker-1")
    assert claim
    assert JobTable(client).fail(claim, "no matter")
    with SubmissionClient(settings) as watching_client:

        def submit_late(*arguments: Any, **options: Any) -> bool:
            assert watching_client.find_lost_jobs() == watching_client.ledger.list_unfinished_job_ids() == []
            return submit(*arguments, **options)

        monkeypatch.setattr("producer.outbox.submission.submit", submit_late)
        assert submission_client.submit(job, PHOTO.jpeg).outcome is Outcome.SUBMITTED
    assert submission_client.ledger.list_unfinished_job_ids() == [job.id]


#: As long ago as a job must have been known to be unfinished to count as ended, and a little less.
LONG_AGO, LATELY = ENDED_JOB_TTL_SECONDS, ENDED_JOB_TTL_SECONDS - 3600


@pytest.mark.parametrize(
    ("recorded_ago", "submitted_ago", "checked_ago", "is_lost"),
    [
        pytest.param(LONG_AGO, LONG_AGO, None, False, id="never checked, as by `artdream send`"),
        pytest.param(LONG_AGO, LONG_AGO, LONG_AGO, False, id="the producer was off"),
        pytest.param(LONG_AGO, None, LONG_AGO, False, id="killed before it recorded the submission"),
        pytest.param(LONG_AGO, LONG_AGO, LATELY, True, id="waiting for a worker for long"),
        pytest.param(LATELY, LONG_AGO, LONG_AGO, True, id="submitted again"),
        pytest.param(None, LONG_AGO, None, False, id="an earlier version's"),
        pytest.param(None, LATELY, None, True, id="an earlier version's, submitted lately"),
        pytest.param(None, None, None, True, id="an earlier version's, killed before it recorded the submission"),
    ],
)
def test_a_job_that_the_broker_does_not_know_is_lost_unless_it_may_have_ended_too_long_ago(
    submission_client: SubmissionClient,
    client: redis.Redis,
    recorded_ago: float | None,
    submitted_ago: float | None,
    checked_ago: float | None,
    *,
    is_lost: bool,
) -> None:
    """Seen failing: jobs that had ended while the producer was off were dreamt, or announced, again."""
    job, ledger = make_job(), submission_client.ledger
    submission_client.submit(job, PHOTO.jpeg)
    ledger.record_submitted_job(job.photo_id, job.id)
    client.delete(job_key(job.id))
    with ledger.transaction() as db:
        db.execute("DELETE FROM last_known")
        for job_id, seconds in ((job.id, recorded_ago), ("", checked_ago)):
            if seconds is not None:
                db.execute("INSERT INTO last_known VALUES (?, ?)", (job_id, time.time() - seconds))
        db.execute("UPDATE photos SET at = ?", (time.time() - (submitted_ago or 0),))
        if submitted_ago is None:
            db.execute("DELETE FROM photos")
    expected_ids = [job.id] if is_lost else []
    for _ in range(2):
        assert submission_client.find_lost_jobs() == expected_ids
        assert ledger.list_unfinished_job_ids() == expected_ids


def test_a_check_does_not_count_where_the_broker_is_unavailable(
    submission_client: SubmissionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a job that ended while the producer was off would seem to have been unfinished a moment ago."""
    submission_client.ledger.record_unfinished_job(make_job())
    before = submission_client.ledger.query("SELECT * FROM last_known")

    def fail(*_: object) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(JobTable, "get_states", fail)
    with pytest.raises(Unavailable):
        submission_client.find_lost_jobs()
    assert submission_client.ledger.query("SELECT * FROM last_known") == before


def test_the_time_of_a_job_is_forgotten_with_the_job(submission_client: SubmissionClient, client: redis.Redis) -> None:
    """Each job would leave a row in the ledger for good."""
    submission_client.submit(make_job(), PHOTO.jpeg)
    assert JobTable(client).cancel(make_job().id)
    assert submission_client.find_lost_jobs() == []
    assert [job_id for (job_id,) in submission_client.ledger.query("SELECT job_id FROM last_known")] == [""]


def test_no_job_is_accepted_before_a_wiped_broker_knows_whether_dreams_need_approval(
    submission_client: SubmissionClient, client: redis.Redis, store: Store
) -> None:
    """Fails without `initialize`: the dream is shown without the approval that the operator asked for."""
    initialize_runtime_settings(client, store)
    update_runtime_settings(client, approval=True)
    persist_runtime_settings(client, store)
    client.flushall()
    submission_client.submit(make_job(), PHOTO.jpeg)
    assert client.hget(job_key(make_job().id), HELD_FIELD) == "1"


def test_a_job_needs_approval_from_the_start_where_the_settings_say_so(settings: Settings, client: redis.Redis) -> None:
    with SubmissionClient(settings.model_copy(update={"approval": True})) as submission:
        submission.submit(make_job(), PHOTO.jpeg)
    assert client.hget(job_key(make_job().id), HELD_FIELD) == "1"


def test_a_producer_that_requires_approval_does_so_for_the_whole_installation(
    settings: Settings, client: redis.Redis
) -> None:
    with SubmissionClient(settings.model_copy(update={"approval": True})) as submission:
        submission.open_connections()
    assert read_runtime_settings(client, settings).approval


def test_a_broker_that_is_away_is_named_so(settings: Settings) -> None:
    with Valkey() as server:
        url = server.url
    with SubmissionClient(settings.model_copy(update={"broker_url": SecretStr(url)})) as submission:
        submission.ledger.record_unfinished_job(make_job())
        for call in (
            submission.open_connections,
            submission.resubmit_lost_jobs,
            lambda: submission.submit(make_job(), b""),
        ):
            with pytest.raises(Unavailable, match=r"^The broker is unavailable: .*[^.]\. Is it running"):
                call()


def test_another_recipe_or_seed_is_another_job(submission_client: SubmissionClient, client: redis.Redis) -> None:
    for recipe in ("animals", "lines"):
        for seed in (0, 1):
            assert submission_client.submit(make_job(recipe, seed), PHOTO.jpeg).outcome is Outcome.SUBMITTED
    assert count_queued(client, Lane.LIVE) == 4


def test_only_a_regular_file_has_a_state(tmp_path: Path) -> None:
    assert read_file_version(tmp_path) is None
    assert read_file_version(tmp_path / "nothing") is None


def _is_reachable(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
