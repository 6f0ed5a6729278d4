"""Submission: no photo is lost or submitted twice, whatever is unavailable or killed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import REGISTRY
from pydantic import SecretStr

from producer.decoding.convert import convert
from producer.decoding.pool import DecodeResult, DecoderPool
from producer.detection.stability import read_file_version
from producer.ledger import File, FileVersion, Ledger
from producer.outbox.outbox import Outbox
from producer.outbox.relay import OutboxRelay
from producer.outbox.submission import Outcome, SubmissionClient, Unavailable
from producer.recipe_choice import RecipeChoice
from shared.broker.client import connect
from shared.guest_upload_names import GuestUpload, make_file_name
from shared.jobs.events import HELD_FIELD, EventReader, FileRejected, Stage
from shared.jobs.job import Job, Lane, Origin, State
from shared.jobs.queue import count_queued
from shared.jobs.refusal import RefusalCause
from shared.jobs.table import JobTable
from shared.monitoring.usage_counts import read_usage_counts
from shared.monitoring.usage_report import estimate_percentile, merge_counts, merge_wait_buckets
from shared.recipe.recipe import load_recipe
from shared.redis_keys import job_key
from shared.runtime_settings import initialize_runtime_settings, persist_runtime_settings, update_runtime_settings
from shared.settings import Settings
from shared.storage import backends
from shared.storage.deletion import delete_photo_objects, write_tombstone
from shared.storage.object_names import motion_name, photo_name, working_photo_name
from shared.storage.store import Store
from tests.fault.faulty_proxy import FaultyProxy
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.producer.conftest import ProducerThread
from tests.servers import S3Server, SshServer, Valkey
from tests.sidecars import make_sidecar
from tests.waiting import WAIT_TIMEOUT_SECONDS, wait_until

PHOTO = convert(encode_heic(make_picture(1)))


@pytest.fixture
def submission_client(settings: Settings) -> Iterator[SubmissionClient]:
    with SubmissionClient(settings) as submission:
        yield submission


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
    assert producer_thread.stop() < 3
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
    job = Job(
        photo_id=photo.photo_id,
        recipe=RecipeChoice(producer_thread.settings, client).choose_recipe(photo.photo_id).recipe,
    )
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


def submit_working_photo(submission_client: SubmissionClient) -> Job:
    """Submit a job with its working photo, as the relay does."""
    job = make_job()
    submission_client.submit(job, b"small", is_working_photo=True)
    submission_client.ledger.record_submitted_job(job.photo_id, job.id)
    return job


def test_a_job_goes_out_with_its_working_photo_and_the_photo_follows(
    submission_client: SubmissionClient, store: Store
) -> None:
    job = submit_working_photo(submission_client)
    assert store.get(working_photo_name(job.photo_id)) == b"small"
    assert store.get(photo_name(job.photo_id)) is None
    submission_client.upload_photo(job.photo_id, PHOTO.jpeg)
    assert store.get(photo_name(job.photo_id)) == PHOTO.jpeg


def test_the_video_that_a_photo_was_taken_from_is_there_before_its_job(
    submission_client: SubmissionClient, client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker looks for it when the dream is finished, which may be at once."""
    job, put, counts = make_job(), Store.put, list[int]()

    def count_and_put(self: Store, name: str, data: bytes) -> None:
        counts.append(count_queued(client, Lane.LIVE))
        put(self, name, data)

    monkeypatch.setattr(Store, "put", count_and_put)
    submission_client.submit(job, PHOTO.jpeg, motion=b"a video")
    assert counts == [0, 0]
    assert count_queued(client, Lane.LIVE) == 1
    assert store.get(motion_name(job.photo_id)) == b"a video"


def test_a_job_that_the_broker_forgot_before_its_photo_followed_is_submitted_again(
    submission_client: SubmissionClient, client: redis.Redis
) -> None:
    submit_working_photo(submission_client)
    client.flushall()
    assert submission_client.resubmit_lost_jobs() == 1


@pytest.mark.parametrize("is_broker_wiped", [False, True])
def test_the_photo_of_a_dream_that_was_deleted_meanwhile_does_not_follow(
    submission_client: SubmissionClient, client: redis.Redis, store: Store, *, is_broker_wiped: bool
) -> None:
    job = submit_working_photo(submission_client)
    JobTable(client).delete(job.id, job.photo_id)
    write_tombstone(store, job.id)
    if is_broker_wiped:
        client.flushall()
    submission_client.upload_photo(job.photo_id, PHOTO.jpeg)
    assert store.get(photo_name(job.photo_id)) is None


def test_a_photo_whose_dream_is_deleted_while_it_is_uploaded_does_not_stay(
    submission_client: SubmissionClient, client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, put = submit_working_photo(submission_client), Store.put

    def delete_and_put(self: Store, name: str, data: bytes) -> None:
        JobTable(client).delete(job.id, job.photo_id)
        put(self, name, data)

    monkeypatch.setattr(Store, "put", delete_and_put)
    submission_client.upload_photo(job.photo_id, PHOTO.jpeg)
    assert store.get(photo_name(job.photo_id)) is None


def test_a_photo_follows_as_long_as_one_of_its_dreams_is_not_deleted(
    submission_client: SubmissionClient, client: redis.Redis, store: Store
) -> None:
    job = submit_working_photo(submission_client)
    other_job = make_job("lines")
    submission_client.submit(other_job, b"small", is_working_photo=True)
    submission_client.ledger.record_submitted_job(other_job.photo_id, other_job.id)
    JobTable(client).delete(job.id, job.photo_id)
    submission_client.upload_photo(job.photo_id, PHOTO.jpeg)
    assert store.get(photo_name(job.photo_id)) == PHOTO.jpeg


@pytest.fixture
def broker_commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each command that is sent to a broker is added: each is a round trip."""
    commands, send = list[str](), redis.connection.AbstractConnection.send_packed_command

    def record_and_send(connection: redis.connection.AbstractConnection, command: Any, **options: Any) -> None:
        commands.append(b"".join(command).split(b"\r\n")[2].decode())
        send(connection, command, **options)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", record_and_send)
    return commands


def test_a_new_photo_costs_the_broker_one_call(
    submission_client: SubmissionClient, client: redis.Redis, store: Store, broker_commands: list[str]
) -> None:
    """Seen failing with a question for the job's state ahead of the upload, and with a script that goes out with it."""
    client.script_flush()
    submission_client.open_connections()
    initialize_runtime_settings(client, store)
    broker_commands.clear()
    submit_working_photo(submission_client)
    assert broker_commands == ["EVALSHA"]


def test_a_photo_that_went_out_before_is_not_uploaded_again(
    submission_client: SubmissionClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit_working_photo(submission_client)
    monkeypatch.setattr(Store, "put", None)
    assert submission_client.submit(job, b"small", is_working_photo=True).outcome is Outcome.KNOWN


def delete_dream(client: redis.Redis, store: Store, job: Job) -> None:
    """Delete a dream, as the operator does in the console."""
    JobTable(client).delete(job.id, job.photo_id)
    write_tombstone(store, job.id)
    delete_photo_objects(store, job.photo_id)


def list_photo_objects(store: Store) -> list[str]:
    return [entry.name for entry in store.list_objects("photos/")]


def test_the_photo_of_a_deleted_dream_does_not_come_back_from_another_mac(
    submission_client: SubmissionClient, client: redis.Redis, store: Store
) -> None:
    """Seen failing without the check after the upload: this Mac does not know the photo, and the broker does."""
    delete_dream(client, store, make_job())
    result = submission_client.submit(make_job(), b"small", is_working_photo=True, motion=b"a video")
    assert result.outcome is Outcome.KNOWN
    assert list_photo_objects(store) == []
    assert count_queued(client, Lane.LIVE) == 0


def test_a_photo_whose_dream_is_deleted_while_its_working_photo_is_uploaded_does_not_stay(
    submission_client: SubmissionClient, client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing without the check after the upload, though the state is asked before, as the photo is known here."""
    job = submit_working_photo(submission_client)
    JobTable(client).cancel(job.id)
    put = Store.put

    def delete_and_put(self: Store, name: str, data: bytes) -> None:
        if name == working_photo_name(job.photo_id):
            delete_dream(client, store, job)
        put(self, name, data)

    monkeypatch.setattr(Store, "put", delete_and_put)
    assert submission_client.submit(job, b"small", is_working_photo=True).outcome is Outcome.KNOWN
    assert list_photo_objects(store) == []


def test_a_photo_stays_for_another_dream_of_it_that_is_not_deleted(
    submission_client: SubmissionClient, client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with a check of the one job."""
    job, other_job, put = submit_working_photo(submission_client), make_job("lines"), Store.put

    def delete_and_put(self: Store, name: str, data: bytes) -> None:
        JobTable(client).delete(other_job.id, other_job.photo_id)
        put(self, name, data)

    monkeypatch.setattr(Store, "put", delete_and_put)
    assert submission_client.submit(other_job, b"small", is_working_photo=True).outcome is Outcome.KNOWN
    assert list_photo_objects(store) == [working_photo_name(job.photo_id)]


def test_a_producer_killed_after_an_upload_removes_the_photo_of_a_deleted_dream_when_it_runs_again(
    settings: Settings, client: redis.Redis, store: Store
) -> None:
    """Seen failing without the check after the upload."""
    delete_dream(client, store, make_job())
    with SubmissionClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        outbox.add(make_job(), PHOTO.jpeg, File(Path("/inbox/1.jpg"), FileVersion(1, 2)), working_jpeg=b"small")
    environment = {**os.environ, **settings.to_environment()}
    process = subprocess.run([sys.executable, "-c", _SUBMIT_AND_DIE], env=environment, check=False)
    assert process.returncode == -signal.SIGKILL
    assert list_photo_objects(store) == [working_photo_name(PHOTO.photo_id)]
    with SubmissionClient(settings) as submission_client:
        outbox = Outbox(submission_client.ledger)
        relay = OutboxRelay(submission_client, outbox, RecipeChoice(settings, client), "host-1", "")
        relay.start()
        wait_until(lambda: len(outbox) == 0 and outbox.next_upload() is None)
        relay.stop(WAIT_TIMEOUT_SECONDS)
    assert list_photo_objects(store) == []


#: A producer that is killed once the working photo is in the store.
_SUBMIT_AND_DIE = """
import os, signal
from producer.outbox.outbox import Outbox
from producer.outbox.submission import SubmissionClient
from shared.jobs.table import JobTable
from shared.settings import Settings

JobTable.accept = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
with SubmissionClient(Settings.read()) as client:
    outbox = Outbox(client.ledger)
    item = outbox.next_item()
    client.submit(item.job, outbox.read_working_photo(item), is_working_photo=True)
"""


class CountingProxy(FaultyProxy):
    """A proxy that counts the connections that were made through it."""

    connection_count = 0

    def _relay(self, client: socket.socket) -> None:
        self.connection_count += 1
        super()._relay(client)


@pytest.fixture
def s3_proxy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingProxy]:
    """A counting proxy through which this process reaches the S3 server."""
    proxy = CountingProxy(s3.port)
    monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{proxy.port}")
    yield proxy
    proxy.close()


@pytest.mark.whole_component
def test_each_guest_s_photo_goes_out_on_a_new_connection_that_is_open_before_it_is_decoded(
    producer_thread: ProducerThread, s3: S3Server, s3_proxy: CountingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with connections that last, and without the call when decoding begins.

    A connection that has lost packets sends less at a time for as long as it lasts.
    """
    monkeypatch.setattr("producer.outbox.submission.STORE_IDLE_SECONDS", 0.2)
    connected_while_decoding, decode, count = list[bool](), DecoderPool._decode_with_retries, 0

    def decode_once_connected(pool: DecoderPool, path: Path, allow_truncated: bool) -> DecodeResult:
        with contextlib.suppress(pytest.fail.Exception):
            wait_until(lambda: s3_proxy.connection_count > count, timeout=60)
        connected_while_decoding.append(s3_proxy.connection_count > count)
        return decode(pool, path, allow_truncated)

    monkeypatch.setattr(DecoderPool, "_decode_with_retries", decode_once_connected)
    producer_thread.start(store_url=s3.url)
    wait_until(lambda: s3_proxy.connection_count)  # connected when it starts
    for number in range(2):
        idle_until = time.monotonic() + 0.5
        wait_until(lambda idle_until=idle_until: time.monotonic() > idle_until)  # type: ignore[misc]
        count = s3_proxy.connection_count
        (producer_thread.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
        wait_until(lambda number=number: producer_thread.count_waiting() == number + 1)  # type: ignore[misc]
    assert connected_while_decoding == [True, True]


def test_a_store_that_is_away_while_a_photo_is_decoded_is_no_fault(
    settings: Settings, s3: S3Server, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backends._RETRY_CONFIG, "retry_timeout", timedelta(seconds=0.1))
    s3.stop()
    with SubmissionClient(settings.model_copy(update={"store_url": s3.url})) as submission_client:
        submission_client.expect_photo()
        wait_until(lambda: not any(thread.name == "connection" for thread in threading.enumerate()))
    assert "Traceback" not in capfd.readouterr().err
