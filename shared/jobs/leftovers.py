"""Leftovers: objects of jobs that ended without a dream."""

from shared.jobs.job import State
from shared.jobs.table import JobTable
from shared.storage.deletion import delete_dream_objects
from shared.storage.store import Store


def delete_leftovers(table: JobTable, store: Store, job_id: str) -> None:
    """Delete the objects of a job that failed, was cancelled or deleted; nothing of any other. Idempotent.

    Raises StoreError and RedisError; the table then still lists the job.
    """
    if table.get_state(job_id) in (State.FAILED, State.CANCELLED, State.DELETED):
        delete_dream_objects(store, job_id)
    table.forget_leftovers(job_id)
