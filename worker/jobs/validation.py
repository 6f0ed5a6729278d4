"""The admission: whether what the job table keeps under an id is that job, and one for this installation."""

import logging
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from shared.broker.client import connect
from shared.jobs.job import Job
from shared.jobs.rejected_messages import RejectionReason, count_rejection
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from worker.networks import NAME
from worker.networks.catalogue import ARTIST
from worker.networks.loaders.downloads import PUBLISHED

log = logging.getLogger(__name__)

#: Letters of the longest job; a recipe of everything has some thousands.
LONGEST = 100_000

_NAMED = re.compile(rf"lite|{'|'.join(PUBLISHED)}|{ARTIST}{NAME.pattern}")


class Admission:
    """Looks at a job before it is dreamt. Raises what the broker's absence raises."""

    def __init__(self, settings: Settings) -> None:
        """Networks by path or address are for the recipes that the operator started this worker with, and the store."""
        self._client = connect(settings.broker)
        self._table = JobTable(self._client, approval=settings.approval)
        self._own = {load_recipe(name).network for name in settings.recipes}
        self._store = settings.store.rstrip("/") + "/"

    def admit(self, job_id: str) -> Job | None:
        """Return a job that may be dreamt; None for one that must not be, which has failed with the reason by now.

        An unknown one is None, too.
        """
        text = self._table.read_raw_job(job_id, LONGEST)
        if text is None:
            return None
        job = self._judged(job_id, text)
        if isinstance(job, Job):
            return job
        log.warning("job %s was rejected: it %s", job_id, job)
        count_rejection(self._client, job)
        self._table.reject(job_id, f"The job {job}.")
        return None

    def _judged(self, job_id: str, text: str) -> Job | RejectionReason:
        if len(text) >= LONGEST:
            return RejectionReason.TOO_LARGE
        try:
            job = Job.model_validate_json(text)
        except ValidationError:
            return RejectionReason.UNREADABLE_JOB
        if job.id != job_id:
            return RejectionReason.ID_MISMATCH
        network = job.recipe.network
        known = _NAMED.fullmatch(network) or network in self._own or within(network, self._store)
        return job if known else RejectionReason.NETWORK_NOT_ALLOWED


def within(address: str, store: str) -> bool:
    """Tell whether an address leads into a store, whose own ends in a slash."""
    if not address.startswith(store):
        return False
    steps = unquote(address[len(store) :]).split("/")
    if any(step in ("", ".", "..") or not step.isprintable() for step in steps):
        return False
    if not store.startswith("file:"):
        return not {"?", "#", "\\"} & set(address[len(store) :])
    root = Path(unquote(urlsplit(store).path)).resolve()
    return Path(unquote(urlsplit(address).path)).resolve().is_relative_to(root)
