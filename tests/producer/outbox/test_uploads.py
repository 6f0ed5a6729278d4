"""Uploads: a guest's photo goes out small first, then in full, and nothing stays of one whose dream was deleted."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from producer.decoding.pool import DecodeResult, DecoderPool
from producer.ledger import File, FileVersion
from producer.outbox.outbox import Outbox
from producer.outbox.relay import OutboxRelay
from producer.outbox.submission import Outcome, SubmissionClient
from producer.recipe_choice import RecipeChoice
from shared.jobs.job import Job, Lane
from shared.jobs.queue import count_queued
from shared.jobs.table import JobTable
from shared.runtime_settings import initialize_runtime_settings
from shared.settings import Settings
from shared.storage import backends
from shared.storage.deletion import delete_photo_objects, write_tombstone
from shared.storage.object_names import motion_name, photo_name, working_photo_name
from shared.storage.store import Store
from tests.fault.faulty_proxy import FaultyProxy
from tests.pictures import encode_jpeg, make_picture
from tests.producer.conftest import ProducerThread
from tests.producer.outbox.test_submission import PHOTO, make_job
from tests.servers import S3Server
from tests.stack import drop_file
from tests.waiting import WAIT_TIMEOUT_SECONDS, wait_until


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
    """A proxy that counts the connections that were made through it, and those that are open."""

    connection_count = 0

    @property
    def open_count(self) -> int:
        return sum(thread.name == self._thread_name for thread in threading.enumerate())

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
        wait_until(lambda: not s3_proxy.open_count, "the idle connection is closed")
        count = s3_proxy.connection_count
        drop_file(producer_thread.inbox, f"{number}.jpg", encode_jpeg(make_picture(number)))  # seen whole, decoded once
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
