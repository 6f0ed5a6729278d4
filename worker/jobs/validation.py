"""Validation: check that the job table's entry for an id is that job, and allowed in this installation."""

import logging
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import ValidationError

from shared.broker.client import connect
from shared.jobs.job import Job
from shared.jobs.rejected_messages import RejectionReason, count_rejection
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from worker.networks import ARTIST_NAME_PATTERN
from worker.networks.catalogue import ARTIST_PREFIX
from worker.networks.loaders.downloads import PUBLISHED_WEIGHTS
from worker.networks.loaders.lite_variants import LITE_VARIANTS

logger = logging.getLogger(__name__)

#: Characters from which on a job is too large; a recipe that uses every option has a few thousand.
MAX_JOB_LENGTH = 100_000

_KNOWN_NETWORK = re.compile(
    "|".join((*LITE_VARIANTS, *PUBLISHED_WEIGHTS, f"{ARTIST_PREFIX}{ARTIST_NAME_PATTERN.pattern}"))
)


class JobValidation:
    """Validates jobs before they run. Raises RedisError if the broker is unavailable."""

    def __init__(self, settings: Settings) -> None:
        """Connect to the broker, and note which networks jobs may name.

        A network by path or URL is allowed only if it is inside the store, or if a recipe that the operator started
        this worker with names it.
        """
        self._client = connect(settings.broker)
        self._table = JobTable(self._client, approval=settings.approval)
        self._operator_networks = {load_recipe(name).network for name in settings.recipes}
        self._store_url = urlunsplit(urlsplit(settings.store)._replace(query="")).rstrip("/") + "/"  # without key files

    def validate(self, job_id: str) -> Job | None:
        """Return the job if it may run, else None.

        A job that must not run is marked as failed with the reason, and counted. An unknown job has no effect.
        """
        text = self._table.read_raw_job(job_id, MAX_JOB_LENGTH)
        if text is None:
            return None
        job = self._parse_job(job_id, text)
        if isinstance(job, Job):
            return job
        logger.warning("job %s was rejected: it %s", job_id, job)
        count_rejection(self._client, job)
        self._table.reject(job_id, f"The job {job}.")
        return None

    def _parse_job(self, job_id: str, text: str) -> Job | RejectionReason:
        if len(text) >= MAX_JOB_LENGTH:
            return RejectionReason.TOO_LARGE
        try:
            job = Job.model_validate_json(text)
        except ValidationError:
            return RejectionReason.UNREADABLE_JOB
        if job.id != job_id:
            return RejectionReason.ID_MISMATCH
        # The current version is dreamt if the network of a candidate is not allowed, or the candidate fails.
        last_resort = (job.comparison and job.comparison.current) or job.recipe
        return job if self.allows(last_resort.network) else RejectionReason.NETWORK_NOT_ALLOWED

    def allows(self, network: str) -> bool:
        """Return whether jobs may name a network."""
        return bool(
            _KNOWN_NETWORK.fullmatch(network)
            or network in self._operator_networks
            or is_inside_store(network, self._store_url)
        )


def is_inside_store(url: str, store_url: str) -> bool:
    """Return whether a URL points inside a store. store_url: the URL of the store, with a slash at the end."""
    if not url.startswith(store_url):
        return False
    segments = unquote(url[len(store_url) :]).split("/")
    if any(segment in ("", ".", "..") or not segment.isprintable() for segment in segments):
        return False
    if not store_url.startswith("file:"):
        return not {"?", "#", "\\"} & set(url[len(store_url) :])
    root = Path(unquote(urlsplit(store_url).path)).resolve()
    return Path(unquote(urlsplit(url).path)).resolve().is_relative_to(root)
