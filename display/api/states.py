"""States: what a program may know of a job, from the job table, what was submitted, and what guests may see."""

from math import inf

from fastapi import Request

from display.api.services import ApiServices, make_unavailable_problem
from display.job_resources import KnownJob, describe_job, make_dream_links
from display.pages.share_links import ShareLink
from display.pages.share_state import describe_link
from shared.api.resources import JobResource, JobState
from shared.jobs.job import State
from shared.jobs.state_machine import ENDED_JOB_TTL_SECONDS
from shared.public_url import resolve_public_url

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


def make_resource(services: ApiServices, request: Request, job: KnownJob) -> JobResource:
    """Return what a program may know of a job. Raises ApiProblem while the dreams are still read from the store."""
    link_state = describe_link(services.event_hub, lambda _: False, ShareLink(job.job_id, inf))
    state = _find_state(services, job, str(link_state["state"]))
    is_waiting = link_state["state"] == "waiting" and state is JobState.QUEUED
    is_running = link_state["state"] == "emerging" and state is JobState.STARTED
    links = None
    if state is JobState.COMPLETED:
        public_url = resolve_public_url(services.settings)
        base_url = public_url or f"{request.url.scheme}://{request.url.netloc}"
        links = make_dream_links(services.share_links, job.job_id, base_url, has_page=public_url is not None)
    return describe_job(
        job,
        state,
        links=links,
        fraction=link_state["fraction"] if is_running else None,
        ahead=link_state["ahead"] if is_waiting else None,
        expected_seconds=link_state["seconds"] if is_waiting else None,
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
