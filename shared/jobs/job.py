"""Jobs: one photo × one recipe × one seed, in one of two lanes."""

import hashlib
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from shared.jobs.events import Stages
from shared.recipe.canary import Comparison
from shared.recipe.objective import StrictModel
from shared.recipe.recipe import Recipe

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


#: The largest seed.
MAX_SEED = 2**31 - 1


class Lane(StrEnum):
    """The queue of a job; every worker takes `live` jobs before `batch` jobs."""

    LIVE = "live"
    BATCH = "batch"


class Origin(StrEnum):
    """How a photo came, for the usage counts."""

    INBOX = "inbox"  # a watched folder: AirDrop
    PHONE = "phone"  # the upload page
    CONSOLE = "console"  # the operator submitted it again
    API = "api"  # the HTTP API
    BATCH = "batch"  # the batch lane


class Job(StrictModel):
    """One photo × one recipe × one seed."""

    later_fields = frozenset({"origin", "comparison"})

    version: Literal[1] = 1
    photo_id: Sha256
    recipe: Recipe
    seed: int = Field(0, ge=0, le=MAX_SEED)
    lane: Lane = Lane.LIVE
    #: Anonymous id of the sender, "" if unknown: submitters take turns in the live lane. Never a person's name.
    submitter: str = Field("", max_length=80)
    #: Seconds spent by the producer, by stage.
    stages: Stages = Field(default_factory=dict)
    #: How its photo came, unless its lane says so.
    origin: Origin = Origin.INBOX
    #: Of the recipe with another version of it; it does not change the id.
    comparison: Comparison | None = None

    @property
    def counted_as(self) -> str:
        """Origin and recipe, by which the usage counts tell jobs apart."""
        return f"{Origin.BATCH if self.lane is Lane.BATCH else self.origin}|{self.recipe.name}"

    @property
    def id(self) -> str:
        """Thirty-two hex digits, the same on every machine for the same photo, recipe and seed."""
        identity = f"{self.photo_id}/{self.recipe.digest}/{self.seed}"
        return hashlib.sha256(identity.encode()).hexdigest()[:32]


class State(StrEnum):
    """The state of a job."""

    ACCEPTED = "accepted"
    QUEUED = "queued"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self in (State.COMPLETED, State.FAILED, State.CANCELLED, State.DELETED)
