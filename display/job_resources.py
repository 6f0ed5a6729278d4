"""Job resources: what a program is told of a job, over the HTTP API and by webhooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import redis

from display.pages.share_links import ShareLinks
from shared.api.jobs import ApiJobs, RegisteredJob
from shared.api.resources import DreamLinks, JobResource, JobState
from shared.jobs.table import JobRecord, JobTable
from shared.storage.object_names import photo_name


@dataclass(frozen=True)
class KnownJob:
    """What broker and job table know of a job."""

    registered: RegisteredJob
    record: JobRecord | None

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.registered.job_id


def read_jobs(client: redis.Redis, job_ids: Sequence[str]) -> list[KnownJob]:
    """Return what is known of jobs. Raises RedisError."""
    records = JobTable(client).get_records(job_ids)
    return [KnownJob(*both) for both in zip(ApiJobs(client).read(job_ids), records, strict=True)]


def describe_job(job: KnownJob, state: JobState, *, links: DreamLinks | None, **progress: object) -> JobResource:
    """Return what a program is told of a job in a state. progress: `fraction`, `ahead` and `expected_seconds`."""
    description, record, refusal = job.registered.description, job.record, job.registered.refusal
    reason = None
    if state is JobState.FAILED and record:
        reason = record.reason
    elif state is JobState.REFUSED and refusal:
        reason = refusal.reason
    submitted_at = job.registered.submitted_at
    photo_id = record.job.photo_id if record else description and description.photo_id
    return JobResource.model_validate(
        {
            "id": job.job_id,
            "state": state,
            "photo": photo_name(photo_id) if photo_id else None,
            "recipe": record.job.recipe.name if record else description and description.recipe,
            "seed": record.job.seed if record else description and description.seed,
            "lane": record.job.lane if record else description and description.lane,
            "submitted_at": submitted_at and datetime.fromtimestamp(submitted_at, UTC),
            "fraction": None,
            "ahead": None,
            "expected_seconds": None,
            "reason": reason,
            "cause": refusal.code or None if state is JobState.REFUSED and refusal else None,
            "links": links,
        }
        | progress
    )


def make_dream_links(share_links: ShareLinks, job_id: str, base_url: str, *, has_page: bool) -> DreamLinks:
    """Return the links of a dream. base_url: of the display. has_page: whether phones can reach it."""
    token = share_links.make_token(job_id)
    link = share_links.parse_token(token)
    assert link  # noqa: S101  it was just signed
    path = f"{base_url}/t/{token}"
    return DreamLinks(
        page=path if has_page else None,
        dream=f"{path}/dream.jpg",
        photo=f"{path}/photo.jpg",
        thumbnail=f"{path}/thumb.jpg",
        clip=f"{path}/clip.mp4",
        expires_at=datetime.fromtimestamp(link.expires_at, UTC),
    )
