"""The queue: Celery over Redis, configured identically for producers and workers."""

import base64
import itertools
import json
import uuid
from collections.abc import Iterator
from typing import cast

import redis
from celery import Celery
from kombu import Queue

from shared.jobs.job import Job, Lane
from shared.jobs.state_machine import QueueMessage
from shared.jobs.table import JobTable
from shared.settings import Settings

#: The only Celery task. Its message carries a job id; everything else is in the job table.
DREAM_TASK = "artdream.dream"

#: kombu keeps one list per lane and priority, and reads the lists of one priority in all lanes before those of the
#: next. A live job's priority falls with the number of unfinished jobs of the same guest, so guests take turns. Batch
#: jobs come last.
FIRST_PRIORITY, LAST_LIVE_PRIORITY, BATCH_PRIORITY = 0, 8, 9

#: Stands for the priority in a message until the broker knows it.
_PRIORITY_PLACEHOLDER = "{priority}"

#: Messages read in one round trip.
MESSAGES_PER_ROUND_TRIP = 500

#: Seconds after the time limit until the pool process is killed. Longer than a call to a store that does not answer,
#: which cannot be interrupted.
KILL_MARGIN_SECONDS = 45

#: Seconds after that until an unacknowledged message returns to its lane.
REDELIVERY_MARGIN_SECONDS = 20

#: Seconds after which Celery kills a pool process that is not ready: Celery's default is 4 s, but the process imports
#: TensorFlow and warms up before. `Timing.warm_up_store_seconds` leaves time for that.
WARM_UP_TIMEOUT_SECONDS = 300


def create_celery_app(settings: Settings) -> Celery:
    """Return the Celery application of an installation. It connects on first use."""
    app = Celery("artdream", broker=_to_kombu_url(settings.broker), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,  # the job table records the outcome
        task_create_missing_queues=False,
        task_queues=[Queue(lane.value, routing_key=lane.value) for lane in Lane],
        task_default_queue=Lane.LIVE.value,
        task_default_exchange=Lane.LIVE.value,
        task_default_routing_key=Lane.LIVE.value,
        # A message is acknowledged after its job has ended, so the broker redelivers it if the worker dies.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_max_memory_per_child=1024 * settings.worker_process_mb or None,
        worker_disable_prefetch=True,  # worker.consumer.flow_control decides when to fetch
        task_soft_time_limit=settings.time_limit_seconds,
        task_time_limit=settings.time_limit_seconds + KILL_MARGIN_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker must survive hours without a network
        broker_channel_error_retry=True,  # and a broker that takes no writes, which kombu takes for errors of a channel
        broker_transport_options={
            # Lanes are read in the order in which they are declared: live always comes first.
            "queue_order_strategy": "priority",
            "priority_steps": list(range(FIRST_PRIORITY, BATCH_PRIORITY + 1)),
            "visibility_timeout": settings.time_limit_seconds + KILL_MARGIN_SECONDS + REDELIVERY_MARGIN_SECONDS,
            # kombu's default is to look for unacknowledged messages every 100 s.
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_keepalive": True,
            "socket_timeout": 15,
            "socket_connect_timeout": 5,
            "health_check_interval": 10,
        },
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,  # otherwise anyone with access to the broker could control workers
        worker_proc_alive_timeout=WARM_UP_TIMEOUT_SECONDS,
    )
    return app


def submit(
    app: Celery, table: JobTable, job: Job, *, arrived_seconds_ago: float | None = None, is_counted: bool = False
) -> bool:
    """Accept a job and queue it in its lane, in one round trip; True if it is new, or had failed or been cancelled.

    Idempotent: a job that was accepted but never queued is queued now, and a job that is queued, running or completed
    is not changed. arrived_seconds_ago, is_counted: as for `JobTable.accept`. Raises RedisError if the broker is
    unavailable.
    """
    message = build_message(app, job)
    return table.accept(job, message=message, arrived_seconds_ago=arrived_seconds_ago, is_counted=is_counted).is_new


def requeue(app: Celery, table: JobTable, job: Job) -> bool:
    """Queue an accepted job that has no message; False if it needs none, as it was claimed, cancelled or has ended.

    Raises RedisError.
    """
    message = build_message(app, job)
    return table.accept(job, message=message, revive=False, is_counted=True).is_queued


def build_message(app: Celery, job: Job) -> QueueMessage:
    """Return the message of a job as Celery and kombu write it, without its priority.

    Neither sends it, as the broker's script does that in the step in which it accepts the job. Celery's message
    protocol, version 2, in the envelope of kombu's virtual transports.
    """
    task = app.amqp.as_task_v2(job.id, DREAM_TASK, args=[job.id], ignore_result=None)
    envelope = {
        "body": base64.b64encode(json.dumps(task.body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": task.headers,
        "properties": {
            **task.properties,
            "delivery_mode": 2,  # persistent
            "delivery_info": {"exchange": "", "routing_key": job.lane.value},
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
            "priority": _PRIORITY_PLACEHOLDER,
        },
    }
    head, tail = json.dumps(envelope).split(json.dumps(_PRIORITY_PLACEHOLDER))
    keys = queue_keys(job.lane)
    if job.lane is Lane.BATCH:
        return QueueMessage((keys[BATCH_PRIORITY],), BATCH_PRIORITY, head, tail)
    return QueueMessage(tuple(keys[FIRST_PRIORITY : LAST_LIVE_PRIORITY + 1]), FIRST_PRIORITY, head, tail)


def count_queued(client: redis.Redis, lane: Lane) -> int:
    """Return the number of messages in a lane."""
    pipeline = client.pipeline(transaction=False)
    for key in queue_keys(lane):
        pipeline.llen(key)
    return sum(pipeline.execute())


def count_all_queued(client: redis.Redis) -> int:
    """Return the number of messages in all lanes together."""
    return sum(count_queued(client, lane) for lane in Lane)


def iter_queued_job_ids(client: redis.Redis) -> Iterator[str]:
    """Yield the job id of every message in all lanes. Messages that move meanwhile may be missing or repeated."""
    for key in (key for lane in Lane for key in queue_keys(lane)):
        for start in itertools.count(0, MESSAGES_PER_ROUND_TRIP):
            messages = cast("list[str]", client.lrange(key, start, start + MESSAGES_PER_ROUND_TRIP - 1))
            yield from filter(None, map(parse_job_id, messages))
            if len(messages) < MESSAGES_PER_ROUND_TRIP:
                break


def queue_keys(lane: Lane) -> list[str]:
    """Return the Redis lists that hold the messages of a lane, highest priority first."""
    # kombu's naming; the first priority has no suffix.
    return [
        lane.value,
        *(f"{lane.value}\x06\x16{priority}" for priority in range(FIRST_PRIORITY + 1, BATCH_PRIORITY + 1)),
    ]


def parse_job_id(message: str) -> str | None:
    """Return the job id in a queued message; None if it is not a message of ArtDream."""
    try:
        return str(json.loads(message)["headers"]["id"])
    except (ValueError, KeyError, TypeError):
        return None


def _to_kombu_url(url: str) -> str:
    """Return a broker's URL for kombu, which has its own scheme for Unix sockets."""
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url
