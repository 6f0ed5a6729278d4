"""The relay submits the jobs of a wiped broker again, except those that have ended."""

import pytest
import redis

from producer.outbox import relay
from producer.outbox.submission import SubmissionClient
from shared.jobs.job import Job, State
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from shared.storage.object_names import photo_name
from shared.storage.store import Store
from tests.pictures import encode_jpeg, make_picture
from tests.producer.conftest import ProducerThread
from tests.waiting import wait_until

JPEG_PHOTO = encode_jpeg(make_picture(1))


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
