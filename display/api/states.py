"""States: what a program may know of a job, from the job table, what was submitted, and what guests may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf

import redis
from fastapi import Request

from display.api.services import ApiServices, make_unavailable_problem
from display.pages.share_links import ShareLink
from display.pages.share_state import describe_link
from shared.api.jobs import ApiJobs, RegisteredJob
from shared.api.resources import DreamLinks, JobResource, JobState
from shared.jobs.job import State
from shared.jobs.state_machine import ENDED_JOB_TTL_SECONDS
from shared.jobs.table import JobRecord, JobTable
from shared.public_url import resolve_public_url
from shared.storage.object_names import photo_name

#: State in the job table → state for programs, but for a completed job, whose dream has to be visible.
_TABLE_STATES = {
    State.ACCEPTED: JobState.QUEUED,
    State.QUEUED: JobState.QUEUED,
    State.STARTED: JobState.STARTED,
    State.FAILED: JobState.FAILED,
    State.CANCELLED: JobState.CANCELLED,
    State.DELETED: JobState.GONE,
}

#: State of a share link → state of a job whose dream is in the dream index.
_LINK_STATES = {"done": JobState.COMPLETED, "held": JobState.HELD, "gone": JobState.GONE}

#: Seconds after which a completed job without a dream in a complete index has none: the event takes milliseconds.
_ANNOUNCED_AFTER_SECONDS = 60.0


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


def make_resource(services: ApiServices, request: Request, job: KnownJob) -> JobResource:
    """Return what a program may know of a job. Raises ApiProblem while the dreams are still read from the store."""
    link_state = describe_link(services.event_hub, lambda _: False, ShareLink(job.job_id, inf))
    state = _find_state(services, job, str(link_state["state"]))
    description, record, refusal = job.registered.description, job.record, job.registered.refusal
    is_waiting, is_running = link_state["state"] == "waiting", link_state["state"] == "emerging"
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
            "fraction": link_state["fraction"] if is_running and state is JobState.STARTED else None,
            "ahead": link_state["ahead"] if is_waiting and state is JobState.QUEUED else None,
            "expected_seconds": link_state["seconds"] if is_waiting and state is JobState.QUEUED else None,
            "reason": reason,
            "cause": refusal.code or None if state is JobState.REFUSED and refusal else None,
            "links": _make_links(services, request, job.job_id) if state is JobState.COMPLETED else None,
        }
    )


def _find_state(services: ApiServices, job: KnownJob, link_state: str) -> JobState:
    record, index = job.record, services.event_hub.dream_index
    if record and record.state is not State.COMPLETED:
        return _TABLE_STATES[record.state]
    if index.is_known(job.job_id):
        return _LINK_STATES[link_state]
    if record:
        if not index.is_complete:
            raise make_unavailable_problem("The display is still reading its dreams from the store: try again.")
        # The event that it is completed is on its way to this display.
        is_announced = services.event_hub.now - record.state_since > _ANNOUNCED_AFTER_SECONDS
        return JobState.GONE if is_announced else JobState.STARTED
    if job.registered.refusal:
        return JobState.REFUSED
    age = services.event_hub.now - (job.registered.submitted_at or 0.0)
    return JobState.RECEIVED if age < ENDED_JOB_TTL_SECONDS else JobState.GONE


def _make_links(services: ApiServices, request: Request, job_id: str) -> DreamLinks:
    public_url = resolve_public_url(services.settings)
    token = services.share_links.make_token(job_id)
    link = services.share_links.parse_token(token)
    assert link  # noqa: S101  it was just signed
    path = f"{public_url or f'{request.url.scheme}://{request.url.netloc}'}/t/{token}"
    return DreamLinks(
        page=path if public_url else None,
        dream=f"{path}/dream.jpg",
        photo=f"{path}/photo.jpg",
        thumbnail=f"{path}/thumb.jpg",
        clip=f"{path}/clip.mp4",
        expires_at=datetime.fromtimestamp(link.expires_at, UTC),
    )
