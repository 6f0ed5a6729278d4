"""Events: what happened to a job, in a Redis Stream that every reader resumes from the last id it saw."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, cast

import redis
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from shared.art_map import MapPoint
from shared.broker.client import KEY_PREFIX
from shared.storage.object_names import is_object_name

STREAM = f"{KEY_PREFIX}events"

#: Events kept, roughly: some thousand dreams; older ones live on as sidecars in the store.
STREAM_LENGTH = 50_000

#: The field that marks an event of a job which waits for approval.
HELD_FIELD = "held"

#: The id before the first event.
STREAM_START_ID = "0-0"


class Stage(StrEnum):
    """A leg of the way of a photo."""

    SETTLE = "settle"  # seen in the inbox → known to be whole
    CONVERT = "convert"  # decoded, oriented, shrunk
    UPLOAD = "upload"  # put in the store
    QUEUE = "queue"  # waited for a worker
    FETCH = "fetch"  # read from the store by the worker
    DREAM = "dream"  # dreamt, frames included
    PUBLISH = "publish"  # dream and sidecar put in the store


class ClassProbability(BaseModel):
    """How sure a network is that it sees something, before and after."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    #: Probabilities, 0 to 1.
    photo: float
    dream: float


#: Seconds by stage.
Stages = dict[Stage, FiniteFloat]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1


#: What tells a job or a photo from others: a step of an object's name, and no way out of it.
_PathSegment = Annotated[str, Field(pattern=r"^[\w-]{0,64}$")]


def _validate_object_name(name: str) -> str:
    if not is_object_name(name):
        raise ValueError("no object's name")
    return name


#: The name of an object in the store.
_ObjectName = Annotated[str, AfterValidator(_validate_object_name)]


class _JobEvent(_Event):
    job_id: _PathSegment
    photo_id: _PathSegment


class Accepted(_JobEvent):
    """The job is in the job table, its photo in the store."""

    type: Literal["accepted"] = "accepted"
    title: str
    lane: str


class Queued(_JobEvent):
    """The job waits for a worker."""

    type: Literal["queued"] = "queued"


class Started(_JobEvent):
    """A worker took the job."""

    type: Literal["started"] = "started"
    title: str
    worker: str


class Progress(_JobEvent):
    """A frame of the dream is in the store."""

    type: Literal["progress"] = "progress"
    frame: _ObjectName
    #: Share of the work that is done, in (0, 1].
    fraction: float


class Completed(_JobEvent):
    """The dream and its sidecar are in the store."""

    type: Literal["completed"] = "completed"
    recipe: str
    title: str
    photo: _ObjectName
    dream: _ObjectName
    #: The classes that the recipe asked for.
    verdicts: tuple[ClassProbability, ...] = ()
    #: Where photo and dream lie on the map of a network that has one.
    place: MapPoint | None = None
    stages: Stages


class Failed(_JobEvent):
    """The job ended without a dream."""

    type: Literal["failed"] = "failed"
    reason: str


class Cancelled(_JobEvent):
    """Somebody called the job off before it had its dream."""

    type: Literal["cancelled"] = "cancelled"


class Shown(_JobEvent):
    """A dream that was held or hidden may be shown from now on."""

    type: Literal["shown"] = "shown"
    completed: Completed
    #: When it was dreamt, in epoch seconds.
    dreamt_at: float


class Hidden(_JobEvent):
    """A dream may not be shown any longer."""

    type: Literal["hidden"] = "hidden"


class Deleted(_JobEvent):
    """A job and its dream are no more, and never come back."""

    type: Literal["deleted"] = "deleted"


class RuntimeSettingsChanged(_Event):
    """The operator changed how the installation runs: who cares reads the steering again."""

    type: Literal["steered"] = "steered"


class FileRejected(_Event):
    """A file in the inbox was set aside: it never became a photo."""

    type: Literal["refused"] = "refused"
    file: str
    #: Goes on where the file's name stops: “is damaged: …”.
    reason: str


Event = (
    Accepted
    | Queued
    | Started
    | Progress
    | Completed
    | Failed
    | Cancelled
    | Shown
    | Hidden
    | Deleted
    | RuntimeSettingsChanged
    | FileRejected
)

_EVENT_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


@dataclass(frozen=True)
class RecordedEvent:
    """An event as the stream keeps it."""

    id: str
    event: Event
    #: Whether the job waits for the operator's approval: nobody else may see anything of it.
    held: bool = False

    @property
    def recorded_at(self) -> float:
        """When it was recorded, in epoch seconds of the broker's clock."""
        return int(self.id.partition("-")[0]) / 1000


def parse_entry(entry_id: str, fields: dict[str, str]) -> RecordedEvent | None:
    """Read one stream entry; None where it is not an event of a version known here, so that a reader can go on."""
    try:
        return RecordedEvent(entry_id, _EVENT_ADAPTER.validate_json(fields.get("event", "")), HELD_FIELD in fields)
    except ValidationError:
        return None


class EventLog:
    """The stream of events, for those who append outside a job transition."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def append(self, event: Event) -> None:
        """Record an event that changes no job's state."""
        self._client.xadd(STREAM, {"event": event.model_dump_json()}, maxlen=STREAM_LENGTH, approximate=True)

    def last_id(self) -> str:
        """Return the id of the newest event, BEGINNING where there is none."""
        newest = cast("list[tuple[str, dict[str, str]]]", self._client.xrevrange(STREAM, count=1))
        return newest[0][0] if newest else STREAM_START_ID


class EventReader:
    """A place in the stream. Each reader has its own and misses nothing that happens after it."""

    def __init__(self, client: redis.Redis, after_id: str = STREAM_START_ID) -> None:
        self._client = client
        #: The id of the last entry seen, valid or not.
        self.position = after_id

    def read(self, *, wait_seconds: float = 0, max_events: int = 500) -> list[RecordedEvent]:
        """Return the next events, oldest first, at most count; where there are none, wait for some up to wait seconds.

        Entries that are no event of a known version are passed over, so an empty answer may still have moved on.
        """
        block = max(1, round(wait_seconds * 1000)) if wait_seconds else None
        answer = self._client.xread({STREAM: self.position}, count=max_events, block=block)
        found = []
        for entry_id, fields in cast("list[tuple[str, list[tuple[str, dict[str, str]]]]]", answer or [("", [])])[0][1]:
            self.position = entry_id
            if recorded := parse_entry(entry_id, fields):
                found.append(recorded)
        return found
