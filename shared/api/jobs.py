"""The jobs of each key: which are whose, what their clients call them, and which files became no photo."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import NamedTuple, TypeVar, cast

import redis
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.jobs.job import Job, Lane
from shared.jobs.refusal import RefusalCause
from shared.jobs.state_machine import ENDED_JOB_TTL_SECONDS
from shared.redis_keys import api_client_id_key, api_job_key, api_jobs_key, api_refusal_key

Model = TypeVar("Model", bound=BaseModel)

#: Seconds for which a key knows its jobs and what its client called them: as long as share links are valid by default.
API_JOB_TTL_SECONDS = 30 * 86_400

#: Jobs that are listed for a key, and for all keys together; beyond these the oldest are left out.
MAX_LISTED_JOBS = 50_000

#: Stands for all keys together.
ALL_KEYS = "all"

_REGISTER_SCRIPT = files("shared.api").joinpath("lua", "register.lua").read_text(encoding="utf-8")


class RegistrationOutcome(StrEnum):
    """Whether a job was registered, or what its client has called so before."""

    REGISTERED = "registered"
    KNOWN = "known"
    CONFLICT = "conflict"


class Registration(NamedTuple):
    """The result of a registration, and the job that has the client's name for it."""

    outcome: RegistrationOutcome
    job_id: str


class JobDescription(BaseModel):
    """What was asked for, from the upload on: the job table knows nothing before the producer has decoded the photo."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    photo_id: str
    recipe: str
    seed: int
    lane: Lane


class Refusal(BaseModel):
    """Why a file did not become a photo."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Completes a sentence that begins with the photo: “is damaged”.
    reason: str
    #: A RefusalCode, or one of a newer version; "" if there is none.
    code: str = ""


@dataclass(frozen=True)
class RegisteredJob:
    """What is known of a job over the API, besides its record in the job table."""

    job_id: str
    description: JobDescription | None
    refusal: Refusal | None
    #: Epoch seconds of the broker's clock; None if it is not among the listed jobs.
    submitted_at: float | None


class ApiJobs:
    """The jobs of all keys, in the broker. Methods raise RedisError.

    A wiped broker has forgotten whose job is whose, but for the submitter of an unfinished one. A photo that is sent
    again is the same job.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._register = client.register_script(_REGISTER_SCRIPT)

    def register(self, key_id: str, job: Job, client_id: str | None = None) -> Registration:
        """Register a job that is about to be submitted with a key. client_id: what its client calls it, if anything."""
        description = JobDescription(photo_id=job.photo_id, recipe=job.recipe.name, seed=job.seed, lane=job.lane)
        content = f"{job.photo_id} {job.recipe.name} {job.seed} {job.lane}"
        keys = [
            api_client_id_key(key_id, client_id or ""),
            *(api_jobs_key(key_id), api_jobs_key(ALL_KEYS)),
            *(api_job_key(job.id), api_refusal_key(job.id)),
        ]
        arguments: list[str | int] = [job.id, content, description.model_dump_json()]
        arguments += [API_JOB_TTL_SECONDS, MAX_LISTED_JOBS, int(client_id is not None)]
        outcome, job_id = cast("tuple[str, str]", self._register(keys=keys, args=arguments))
        return Registration(RegistrationOutcome(outcome), job_id)

    def find(self, key_id: str, name: str, *, among_all: bool = False) -> str | None:
        """Return the id of the job that a key knows by a name, its client's or the id itself; None if there is none.

        among_all: whether the key may see the jobs of all keys.
        """
        pipeline = self._client.pipeline(transaction=False)
        pipeline.get(api_client_id_key(key_id, name))
        pipeline.zscore(api_jobs_key(ALL_KEYS if among_all else key_id), name)
        named, submitted_at = cast("tuple[str | None, float | None]", pipeline.execute())
        if named is not None:
            return str(json.loads(named)["job_id"])
        return name if submitted_at is not None else None

    def are_known(self, key_id: str, job_ids: Sequence[str]) -> list[bool]:
        """Return for each job whether it is one of a key, or of any key with ALL_KEYS."""
        pipeline = self._client.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.zscore(api_jobs_key(key_id), job_id)
        return [submitted_at is not None for submitted_at in pipeline.execute()]

    def list_page(self, key_id: str, count: int, before: float | None = None) -> list[tuple[str, float]]:
        """Return the ids of a key's jobs, and when each was submitted, newest first, `count` at most.

        before: time of the last job of the previous page, in epoch seconds, None for the first page.
        """
        newest = "+inf" if before is None else f"({before:.6f}"
        page = self._client.zrange(
            api_jobs_key(key_id), newest, "-inf", desc=True, byscore=True, withscores=True, offset=0, num=count
        )
        return [(job_id, float(at)) for job_id, at in cast("list[tuple[str, float]]", page)]

    def read(self, job_ids: Sequence[str]) -> list[RegisteredJob]:
        """Return what is known of jobs."""
        pipeline = self._client.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.mget(api_job_key(job_id), api_refusal_key(job_id))
            pipeline.zscore(api_jobs_key(ALL_KEYS), job_id)
        replies = pipeline.execute()
        return [
            RegisteredJob(job_id, _parse(JobDescription, texts[0]), _parse(Refusal, texts[1]), submitted_at)
            for job_id, texts, submitted_at in zip(job_ids, replies[::2], replies[1::2], strict=True)
        ]


def record_refusal(client: redis.Redis, job_id: str, reason: str, cause: RefusalCause | None) -> None:
    """Record that the file of a job did not become a photo: no job table knows it. Raises RedisError."""
    refusal = Refusal(reason=reason, code=cause.code if cause else "")
    client.set(api_refusal_key(job_id), refusal.model_dump_json(), ex=ENDED_JOB_TTL_SECONDS)


def _parse(model: type[Model], text: str | None) -> Model | None:
    """Return what was kept; None if there is nothing, or another version wrote it."""
    try:
        return model.model_validate_json(text) if text else None
    except ValidationError:
        return None
