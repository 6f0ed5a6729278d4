"""The queue: Celery over Redis, wired the same for those who submit and those who work."""

from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError

from shared.errors import ArtDreamError
from shared.jobs import Job, JobTable, Lane, State
from shared.settings import Settings

#: The one task. Its message carries a job id; everything else is in the job table.
DREAM_TASK = "artdream.dream"

#: Seconds after the hard time limit at which an unfinished delivery goes back to its lane.
REDELIVERY_MARGIN = 30


def celery_app(settings: Settings) -> Celery:
    """Return the Celery application of an installation. Nothing is connected yet."""
    app = Celery("artdream", broker=settings.broker, set_as_current=False)
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
        worker_disable_prefetch=True,
        task_soft_time_limit=settings.time_limit_seconds,
        task_time_limit=settings.time_limit_seconds + 10,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            # Lanes are asked in the order in which they are consumed from: live first, always.
            "queue_order_strategy": "priority",
            "visibility_timeout": settings.time_limit_seconds + REDELIVERY_MARGIN,
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
        # The pool child imports TensorFlow and warms up before it reports for work; Celery's default is 4 s.
        worker_proc_alive_timeout=300,
    )
    return app


def submit(app: Celery, table: JobTable, job: Job) -> bool:
    """Accept a job and put it in its lane; True where it is new or takes up a failed one.

    May be repeated at any point: a job that was accepted but never queued is queued now, any other is left alone.
    Raises ArtDreamError while the broker is away.
    """
    accepted = table.accept(job)
    if table.state(job.id) == State.ACCEPTED:
        try:
            app.send_task(DREAM_TASK, args=[job.id], task_id=job.id, queue=job.lane.value, retry=False)
        except OperationalError as error:
            raise ArtDreamError(f"Job {job.id} could not be queued: {error}.") from error
        table.queued(job)
    return accepted
