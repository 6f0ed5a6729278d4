"""Jobs: a program lists its jobs, asks for one, cancels it and tries it again."""

from functools import partial
from typing import Annotated

import redis
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from display.api.access import ReadKey, SubmitKey, choose_owner, use_quota
from display.api.problems import ApiProblem, ProblemType, document_problems
from display.api.services import ApiServices, Services
from display.api.states import make_resource
from display.job_resources import KnownJob, read_jobs
from shared.api.jobs import ApiJobs
from shared.api.keys import ApiKey, Scope
from shared.api.resources import DEFAULT_PAGE_SIZE, JOB_NAME_PATTERN, MAX_PAGE_SIZE, JobPage, JobResource
from shared.jobs.job import Job, State
from shared.jobs.table import JobTable
from shared.storage.photos import has_photo

router = APIRouter()

JobName = Annotated[str, Path(description="The job's id, or your id for it.", pattern=JOB_NAME_PATTERN)]

_READ_PROBLEMS = (ProblemType.UNAUTHORIZED, ProblemType.SCOPE_MISSING, ProblemType.INVALID_REQUEST)
_JOB_PROBLEMS = (*_READ_PROBLEMS, ProblemType.JOB_NOT_FOUND, ProblemType.UNAVAILABLE)


class PageQuery(BaseModel):
    """Which page of a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(DEFAULT_PAGE_SIZE, ge=1, le=MAX_PAGE_SIZE, description="Jobs on the page, at most.")
    cursor: str = Field("", pattern=r"^([0-9]{1,12}\.[0-9]{6})?$", description="`next` of the page before.")


@router.get("/jobs", responses=document_problems(*_READ_PROBLEMS, ProblemType.UNAVAILABLE))
async def list_jobs(request: Request, services: Services, key: ReadKey, page: Annotated[PageQuery, Query()]) -> JobPage:
    """List the key's jobs of the last 30 days, newest first; with the scope `all`, those of all keys."""
    owner = choose_owner(key)
    before = float(page.cursor) if page.cursor else None

    def read_page(client: redis.Redis) -> tuple[list[tuple[str, float]], list[KnownJob]]:
        listed = ApiJobs(client).list_page(owner, page.limit + 1, before)
        return listed, read_jobs(client, [job_id for job_id, _ in listed[: page.limit]])

    listed, jobs = await services.ask_broker(read_page)
    next_cursor = f"{listed[page.limit - 1][1]:.6f}" if len(listed) > page.limit else None
    return JobPage(jobs=[make_resource(services, request, job) for job in jobs], next=next_cursor)


@router.get("/jobs/{job}", responses=document_problems(*_JOB_PROBLEMS))
async def get_job(job: JobName, request: Request, services: Services, key: ReadKey) -> JobResource:
    """Return a job: its state, and where its dream is."""
    found = await services.ask_broker(partial(_find_job, key=key, name=job))
    return make_resource(services, request, found)


@router.post("/jobs/{job}/cancel", responses=document_problems(*_JOB_PROBLEMS, ProblemType.JOB_ENDED))
async def cancel_job(job: JobName, request: Request, services: Services, key: SubmitKey) -> JobResource:
    """Cancel a job that is queued or started."""

    def cancel(client: redis.Redis) -> KnownJob:
        found = _find_job(client, key, job)
        if found.record is None and found.registered.refusal is None:
            raise ApiProblem(
                ProblemType.JOB_NOT_QUEUED, "The photo has not been decoded yet: try again when the job is queued."
            )
        if not JobTable(client).cancel(found.job_id):
            state = found.record.state if found.record else "refused"
            raise ApiProblem(ProblemType.JOB_ENDED, f"Job {found.job_id} has ended already: it is {state}.")
        return read_jobs(client, [found.job_id])[0]

    return make_resource(services, request, await services.ask_broker(cancel))


@router.post(
    "/jobs/{job}/retry",
    status_code=202,
    responses=document_problems(
        *_JOB_PROBLEMS, ProblemType.PHOTO_NOT_FOUND, ProblemType.JOB_NOT_FAILED, ProblemType.QUOTA_EXCEEDED
    ),
)
async def retry_job(
    job: JobName, request: Request, response: Response, services: Services, key: SubmitKey
) -> JobResource:
    """Queue a job again that failed or was cancelled. It counts as a submission."""
    async with use_quota(services, key, response) as use:
        found = await services.ask_broker(partial(_find_job, key=key, name=job))
        record = found.record
        if record is None or record.state not in (State.FAILED, State.CANCELLED):
            raise ApiProblem(ProblemType.JOB_NOT_FAILED, f"Job {found.job_id} has neither failed nor been cancelled.")
        use.is_new = await services.ask_broker(lambda _: _submit_again(services, record.job))
    [known] = await services.ask_broker(partial(read_jobs, job_ids=[found.job_id]))
    return make_resource(services, request, known)


def _submit_again(services: ApiServices, job: Job) -> bool:
    """Submit the job of a photo in the store. Raises ApiProblem if the photo is not there, ArtDreamError."""
    if not has_photo(services.pictures.store, job.photo_id):
        detail = f"The photo of job {job.id} is no longer in the store: submit it again."
        raise ApiProblem(ProblemType.PHOTO_NOT_FOUND, detail)
    return services.event_hub.moderation.submit(job)


def _find_job(client: redis.Redis, key: ApiKey, name: str) -> KnownJob:
    """Return the job that a key knows by a name. Raises ApiProblem if there is none, RedisError."""
    job_id = ApiJobs(client).find(key.id, name, among_all=Scope.ALL in key.scopes)
    [known] = read_jobs(client, [job_id or name])
    # A wiped broker has lost whose job is whose; producers queue unfinished jobs again, with their submitters.
    is_submitter = known.record is not None and known.record.job.submitter == key.id
    if job_id is None and not is_submitter:
        raise ApiProblem(ProblemType.JOB_NOT_FOUND, f"This key has no job “{name}”.")
    return known
