"""The exception that interrupts a running task: at its soft time limit, or when the worker has to stop now."""

from celery.exceptions import SoftTimeLimitExceeded

#: Raised in a pool process, at any line, by the signal SIGUSR1. The pool sends it at `task_soft_time_limit`;
#: `worker.consumer.shutdown` sends it when the grace period of a stopping worker is over.
TaskInterrupted = SoftTimeLimitExceeded


def raise_if_interrupted(error: BaseException) -> None:
    """Raise TaskInterrupted if it is behind an error: what reads files takes any exception for a fault of the file."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TaskInterrupted):
            raise TaskInterrupted from error
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
