"""The exception that interrupts a running task: at its soft time limit, or when the worker has to stop now."""

from celery.exceptions import SoftTimeLimitExceeded

#: Raised in a pool process, at any line, by the signal SIGUSR1. The pool sends it at `task_soft_time_limit`;
#: `worker.consumer.shutdown` sends it when the grace period of a stopping worker is over.
TaskInterrupted = SoftTimeLimitExceeded
