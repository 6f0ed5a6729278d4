"""`artdream rebuild`: a broker that lost its memory is told again what the store and the ledger know."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from artdream.cli.options import DataOption, console, load_settings_with_broker
from shared.broker.client import connect
from shared.jobs.job import Job
from shared.jobs.table import JobTable
from shared.runtime_settings import initialize_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import DREAMS_PREFIX, TOMBSTONES_PREFIX, sidecar_name
from shared.storage.sidecar import Visibility, read_sidecar
from shared.storage.store import Store

#: Objects that are read at once; a store far away answers each after tens of milliseconds.
READER_THREADS = 16


def rebuild(data: DataOption = None) -> None:
    """Tell a broker that lost its memory of dreams, deletions, steering and unfinished jobs.

    May be repeated, and while everything runs: what the broker knows already stays as it is. Jobs are taken up again
    from the ledger of this machine; a producer that runs does so by itself.
    """
    with load_settings_with_broker(data=data) as settings:
        counts = restore_from_store(settings)
        counts["unfinished jobs"] = _resubmit_lost_jobs(settings)
    told = ", ".join(f"{what} {count}" for what, count in counts.items())
    console.print(f"What the broker did not know: {told}.", soft_wrap=True)


def restore_from_store(settings: Settings) -> Counter[str]:
    """Enter what the store knows into the job table, and count it. Raises StoreError and RedisError."""
    client, store = connect(settings.broker), Store(settings.store)
    table = JobTable(client)
    initialize_runtime_settings(client, store)
    counts = Counter({"dreams": 0, "hidden dreams": 0, "deletions": 0})
    for entry in store.list_objects(TOMBSTONES_PREFIX):  # first: whatever else is left of them
        counts["deletions"] += table.restore_deleted(entry.name.removeprefix(TOMBSTONES_PREFIX))
    names = (entry.name for entry in store.list_objects(DREAMS_PREFIX))
    jobs = (job_id for name in names if name == sidecar_name(job_id := _parse_job_id(name)))
    with ThreadPoolExecutor(READER_THREADS) as readers:
        for sidecar in filter(None, readers.map(partial(read_sidecar, store), jobs)):
            job = Job(photo_id=sidecar.photo_id, recipe=sidecar.recipe, seed=sidecar.seed)
            hidden = sidecar.standing is not Visibility.SHOWN
            if job.id == sidecar.job_id and table.restore_completed(job, held=hidden):
                counts["hidden dreams" if hidden else "dreams"] += 1
    return counts


def _parse_job_id(object_name: str) -> str:
    return object_name.removeprefix(DREAMS_PREFIX).partition("/")[0]


def _resubmit_lost_jobs(settings: Settings) -> int:
    from producer.outbox.submission import SubmissionClient

    with SubmissionClient(settings) as intake:
        return intake.resubmit_lost_jobs()
