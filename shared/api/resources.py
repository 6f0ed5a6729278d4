"""Resources: what requests and responses of the HTTP API hold, for the display that serves them and for the client."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.jobs.job import MAX_SEED, Lane

#: Path of the API on a display.
API_PATH = "/api/v1"

#: Jobs on a page, by default and at most.
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 200

#: A job's id, or what its client calls it.
JOB_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

RecipeField = Annotated[
    str, Field(description="Name of a recipe that `GET /recipes` lists.", pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
]
SeedField = Annotated[int, Field(ge=0, le=MAX_SEED, description="Random seed: the same seed gives the same dream.")]
LaneField = Annotated[Lane, Field(description="`live` is for somebody who waits; `batch` needs the scope `batch`.")]


class JobState(StrEnum):
    """The state of a job, as a program sees it."""

    RECEIVED = "received"
    QUEUED = "queued"
    STARTED = "started"
    COMPLETED = "completed"
    HELD = "held"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    GONE = "gone"

    @property
    def is_final(self) -> bool:
        """Whether the state changes only if somebody acts."""
        return self not in (JobState.RECEIVED, JobState.QUEUED, JobState.STARTED, JobState.HELD)


class Resource(BaseModel):
    """What the API answers."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DreamLinks(Resource):
    """Where a dream can be had without a key, until `expires_at`."""

    page: str | None = Field(description="Page of the dream for a phone; null if phones cannot reach the display.")
    dream: str = Field(description="The dream, a JPEG.")
    photo: str = Field(description="Its photo, a JPEG.")
    thumbnail: str = Field(description="A small picture of the dream, a JPEG.")
    clip: str = Field(description="A video, an MP4; 404 until it has been made, some time after the dream.")
    expires_at: datetime = Field(description="When these links expire. Asking for the job again gives new ones.")


class JobResource(Resource):
    """A job: one photo × one recipe × one seed."""

    id: str = Field(description="Id of the job, derived from photo, recipe and seed.")
    state: JobState = Field(
        description=(
            "`received`: the photo has arrived. `queued`, `started`: it waits for its dream, or is being dreamt. "
            "`completed`: the dream is at `links`. `held`: the dream waits for the operator's approval. `failed`: no "
            "dream, for the reason in `reason`. `cancelled`. `refused`: the file could not become a photo, for the "
            "reason in `reason`. `gone`: hidden or deleted by the operator, or forgotten after it ended without a "
            "dream."
        )
    )
    photo: str | None = Field(description="Object name of the photo, `photos/SHA-256.jpg`; null if it is forgotten.")
    recipe: str | None = Field(description="Name of the recipe; null if it is forgotten.")
    seed: int | None = Field(description="The random seed; null if it is forgotten.")
    lane: Lane | None = Field(description="The lane; null if it is forgotten.")
    submitted_at: datetime | None = Field(description="When it was first submitted; null if it is forgotten.")
    fraction: float | None = Field(description="Share of the work that is done, 0 to 1; null unless it is started.")
    ahead: int | None = Field(description="Photos before it; null unless it waits in the live lane.")
    expected_seconds: float | None = Field(description="Seconds until its dream is expected; null if unknown.")
    reason: str | None = Field(description="Why it failed or was refused, for people; null otherwise.")
    cause: str | None = Field(description="Why it was refused, as a code, such as `damaged`; null otherwise.")
    links: DreamLinks | None = Field(description="Where the dream is; null unless it is completed.")


class JobPage(Resource):
    """A page of jobs, newest first."""

    jobs: list[JobResource]
    next: str | None = Field(description="`cursor` of the next page; null if this is the last one.")


class RecipeResource(Resource):
    """A recipe that the key may use."""

    name: str = Field(description="Name, for `recipe`.")
    title: str = Field(description="Title, as guests read it.")
    description: str = Field(description="What it does.")
    version: int = Field(description="Version; another version makes another dream of the same photo.")


class RecipeList(Resource):
    """The recipes that the key may use."""

    recipes: list[RecipeResource]


class Health(Resource):
    """Whether photos are taken now, and how long they wait."""

    version: str = Field(description="Version of ArtDream.")
    accepts_photos: bool = Field(description="Whether a producer takes photos now.")
    waiting: int = Field(description="Photos in the live lane.")
    expected_seconds: float | None = Field(description="Seconds until the last of them has its dream; null if unknown.")


class StoredPhotoRequest(BaseModel):
    """A photo that is in the store already, to be dreamt. Needs the scope `store`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    photo: str = Field(description="Object name of the photo.", pattern=r"^photos/[0-9a-f]{64}\.jpg$")
    recipe: RecipeField
    seed: SeedField = 0
    lane: LaneField = Lane.LIVE


class PhotoForm(BaseModel):
    """The fields of a form beside its file `photo`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: RecipeField
    seed: SeedField = 0
    lane: LaneField = Lane.LIVE


class JobEvent(Resource):
    """Something that happened to a job: the data of a server-sent event `job`."""

    id: str = Field(description="Id of the job.")
    state: JobState = Field(description="Its state from then on.")
    at: datetime = Field(description="When it happened.")
    fraction: float | None = Field(None, description="Share of the work that is done; null unless it is started.")
    reason: str | None = Field(None, description="Why it failed or was refused.")


class FieldError(Resource):
    """What is wrong with a part of a request."""

    field: str = Field(description="Where it is, such as `body.recipe` or `query.limit`.")
    detail: str = Field(description="What is wrong with it.")


class Problem(Resource):
    """Why a request was not served (RFC 9457)."""

    type: str = Field(description="Stable name of the problem, `urn:artdream:problem:NAME`.")
    title: str = Field(description="The problem in a few words.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What happened, and what to do.")
    errors: list[FieldError] = Field(default=[], description="What is wrong with which field, if a field is invalid.")
