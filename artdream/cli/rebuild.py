"""`artdream rebuild`: restore a wiped broker from the store and the local ledger."""

from collections import Counter

from artdream.cli.options import DataOption, console, load_settings_with_broker
from shared.broker.client import connect
from shared.jobs.job import Job
from shared.jobs.table import JobTable
from shared.runtime_settings import initialize_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import TOMBSTONES_PREFIX
from shared.storage.sidecar import Visibility, iter_sidecars
from shared.storage.store import Store


def rebuild(data: DataOption = None) -> None:
    """Restore a wiped broker from the store and the local ledger.

    It restores dreams, deletions, runtime settings and unfinished jobs. It may run at any time, also repeatedly: what
    the broker still has stays as it is. A running producer queues its own unfinished jobs again by itself.
    """
    with load_settings_with_broker(data=data) as settings:
        counts = restore_from_store(settings)
        counts["unfinished jobs"] = _resubmit_lost_jobs(settings)
    summary = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    console.print(f"Restored: {summary}.", soft_wrap=True)


def restore_from_store(settings: Settings) -> Counter[str]:
    """Restore runtime settings, deletions and dreams from the store to the broker. Raises StoreError and RedisError.

    Returns the number of restored entries by kind; entries that the broker already had are not counted.
    """
    client, store = connect(settings.broker), Store(settings.store)
    table = JobTable(client)
    initialize_runtime_settings(client, store, approval=settings.approval)
    counts = Counter({"dreams": 0, "hidden dreams": 0, "deletions": 0})
    # Deletions first, so that remaining objects of a deleted dream do not restore it.
    for tombstone in store.list_objects(TOMBSTONES_PREFIX):
        counts["deletions"] += table.restore_deleted(tombstone.name.removeprefix(TOMBSTONES_PREFIX))
    for sidecar in iter_sidecars(store):
        job = Job(photo_id=sidecar.photo_id, recipe=sidecar.recipe, seed=sidecar.seed)
        is_hidden = sidecar.standing is not Visibility.SHOWN
        if job.id == sidecar.job_id and table.restore_completed(job, held=is_hidden):
            counts["hidden dreams" if is_hidden else "dreams"] += 1
    return counts


def _resubmit_lost_jobs(settings: Settings) -> int:
    from producer.outbox.submission import SubmissionClient

    with SubmissionClient(settings) as submission_client:
        return submission_client.resubmit_lost_jobs()
