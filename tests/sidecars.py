"""Sidecars of dreams that no worker rendered."""

import time
from typing import Any

from shared.jobs.job import Job
from shared.storage.object_names import dream_name, photo_name
from shared.storage.sidecar import Sidecar


def make_sidecar(job: Job, **fields: Any) -> Sidecar:
    """Return a valid sidecar of a job's dream; `fields` override the defaults."""
    defaults = {
        "job_id": job.id,
        "photo_id": job.photo_id,
        "photo": photo_name(job.photo_id),
        "dream": dream_name(job.id),
        "recipe": job.recipe,
        "seed": job.seed,
        "network": "lite",
        "weights": "0" * 64,
        "size": (320, 240),
        "stages": {},
        "completed_at": time.time(),
    }
    return Sidecar(**(defaults | fields))
