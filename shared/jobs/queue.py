"""The queue: Celery over Redis, wired the same for those who submit and those who work."""

import itertools
import json
from collections.abc import Iterator
from typing import cast

import redis
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError

from shared.broker.client import to_kombu_url
from shared.errors import ArtDreamError
from shared.jobs.job import Job, Lane
from shared.jobs.table import AlreadyReserved, JobTable
from shared.settings import Settings

#: The one task. Its message carries a job id; everything else is in the job table.
DREAM_TASK = "artdream.dream"

#: kombu keeps a list for each priority and asks the lists of the first for all lanes before those of the next. A live
#: job is the further back the more jobs of the same guest are on their way, so guests take turns; a batch comes last.
FIRST_PRIORITY, LAST_LIVE_PRIORITY, BATCH_PRIORITY = 0, 8, 9

#: Messages that are read in one round trip.
MESSAGES_PER_ROUND_TRIP = 500

#: Seconds after the hard time limit at which an unfinished delivery goes back to its lane.
REDELIVERY_MARGIN_SECONDS = 30


def create_celery_app(settings: Settings) -> Celery:
    """Return the Celery application of an installation. Nothing is connected yet."""
    app = Celery("artdream", broker=to_kombu_url(settings.broker), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,  # the job table is the truth
        task_create_missing_queues=False,
        task_queues=[Queue(lane.value, routing_key=lane.value) for lane in Lane],
        task_default_queue=Lane.LIVE.value,
        task_default_exchange=Lane.LIVE.value,
        task_default_routing_key=Lane.LIVE.value,
        # A delivery is acknowledged when its job has ended, so a worker that dies gives it back.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # and worker.consumer.flow_control says when
        task_soft_time_limit=settings.time_limit_seconds,
        task_time_limit=settings.time_limit_seconds + 10,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # an evening without network is no reason to give up
        broker_transport_options={
            # Lanes are asked in the order in which they are consumed from: live first, always.
            "queue_order_strategy": "priority",
            "priority_steps": list(range(FIRST_PRIORITY, BATCH_PRIORITY + 1)),
            "visibility_timeout": settings.time_limit_seconds + REDELIVERY_MARGIN_SECONDS,
            # kombu sweeps for lost deliveries every 100 s by default.
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_keepalive": True,
            "socket_timeout": 15,
            "socket_connect_timeout": 5,
            "health_check_interval": 10,
        },
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,  # whoever got into the broker would order workers about
        # The pool child imports TensorFlow and warms up before it reports for work; Celery's default is 4 s.
        worker_proc_alive_timeout=300,
    )
    return app


def submit(app: Celery, table: JobTable, job: Job) -> bool:
    """Accept a job and put it in its lane; True where it is new or takes up one that failed or was cancelled.

    May be repeated at any point: a job that was accepted but never queued is queued now, any other is left alone.
    Raises ArtDreamError while the broker is away, or another producer is about to do the same.
    """
    try:
        accepted = table.accept(job)
    except AlreadyReserved:
        raise ArtDreamError(f"Job {job.id} is being queued by another producer: try again.") from None
    if accepted.needs_queueing:
        _send_message(app, job, accepted.unfinished_jobs)
        table.mark_queued(job)
    return accepted.is_new


def connect_to_queues(app: Celery) -> None:
    """Connect to the lanes, so that the first job need not. Waits for a broker that is away. Raises ArtDreamError."""
    try:
        with app.producer_pool.acquire(block=True) as producer:
            for queue in app.amqp.queues.values():
                producer.maybe_declare(queue)
    except OperationalError as error:
        raise ArtDreamError(f"The lanes cannot be reached: {error}.") from error


def _send_message(app: Celery, job: Job, unfinished_jobs: int) -> None:
    priority = (
        BATCH_PRIORITY
        if job.lane is Lane.BATCH
        else min(FIRST_PRIORITY + max(unfinished_jobs - 1, 0), LAST_LIVE_PRIORITY)
    )
    try:
        app.send_task(DREAM_TASK, args=[job.id], task_id=job.id, queue=job.lane.value, priority=priority, retry=False)
    except OperationalError as error:
        raise ArtDreamError(f"Job {job.id} could not be queued: {error}.") from error


def count_queued(client: redis.Redis, lane: Lane) -> int:
    """Return how many messages wait in a lane."""
    pipeline = client.pipeline(transaction=False)
    for name in queue_keys(lane):
        pipeline.llen(name)
    return sum(pipeline.execute())


def count_all_queued(client: redis.Redis) -> int:
    """Return how many messages wait in all lanes."""
    return sum(count_queued(client, lane) for lane in Lane)


def iter_queued_job_ids(client: redis.Redis) -> Iterator[str]:
    """Name the job of every message that waits, in any lane. What is moved meanwhile may be missing, or named twice."""
    for name in (name for lane in Lane for name in queue_keys(lane)):
        for start in itertools.count(0, MESSAGES_PER_ROUND_TRIP):
            texts = cast("list[str]", client.lrange(name, start, start + MESSAGES_PER_ROUND_TRIP - 1))
            yield from filter(None, map(parse_job_id, texts))
            if len(texts) < MESSAGES_PER_ROUND_TRIP:
                break


def queue_keys(lane: Lane) -> list[str]:
    """Name the Redis lists that the messages of a lane wait in, the one that is served first first."""
    # As kombu names them; the first priority has no suffix.
    return [lane.value, *(f"{lane.value}\x06\x16{step}" for step in range(FIRST_PRIORITY + 1, BATCH_PRIORITY + 1))]


def parse_job_id(message: str) -> str | None:
    """Return the id of the job that a waiting message tells of; None where it is not one of ours."""
    try:
        return str(json.loads(message)["headers"]["id"])
    except (ValueError, KeyError, TypeError):
        return None
