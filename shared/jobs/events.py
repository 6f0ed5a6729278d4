"""Events: the history of all jobs, in a Redis stream that each reader resumes from the last id it read."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, cast

import redis
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from shared.art_map import MapPoint
from shared.jobs.refusal import RefusalCause
from shared.redis_keys import STREAM
from shared.storage.object_names import is_object_name

#: Approximate number of events kept, enough for some thousand dreams; older dreams have sidecars in the store.
STREAM_LENGTH = 50_000

#: Stream field that marks an event of a job whose dream is not visible.
HELD_FIELD = "held"

#: The stream id before the first event.
STREAM_START_ID = "0-0"


class Stage(StrEnum):
    """A timed stage of a job, from the file to the dream."""

    SETTLE = "settle"  # from the first sight of the file in the inbox until it is complete
    CONVERT = "convert"  # decode, orient, scale down
    UPLOAD = "upload"  # write the photo to the store
    QUEUE = "queue"  # wait for a worker
    FETCH = "fetch"  # worker reads the photo from the store
    DREAM = "dream"  # gradient ascent, frames included
    PUBLISH = "publish"  # write dream and sidecar to the store


class ClassProbability(BaseModel):
    """The probability that a network gives to a class, in the photo and in the dream."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    #: Probabilities, in [0, 1].
    photo: FiniteFloat
    dream: FiniteFloat


#: Seconds by stage.
Stages = dict[Stage, FiniteFloat]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1


#: The id of a job or a photo. It becomes a segment of object names, so it must not contain separators or dots.
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
    """The job is in the job table, and its photo is in the store."""

    type: Literal["accepted"] = "accepted"
    title: str
    lane: str


class Queued(_JobEvent):
    """The job is queued and waits for a worker."""

    type: Literal["queued"] = "queued"


class Started(_JobEvent):
    """A worker claimed the job."""

    type: Literal["started"] = "started"
    title: str
    worker: str


class Progress(_JobEvent):
    """A frame of the dream is in the store."""

    type: Literal["progress"] = "progress"
    frame: _ObjectName
    #: Share of the work done, in (0, 1].
    fraction: FiniteFloat


class Completed(_JobEvent):
    """The dream and its sidecar are in the store."""

    type: Literal["completed"] = "completed"
    recipe: str
    title: str
    photo: _ObjectName
    dream: _ObjectName
    #: Probabilities of the recipe's target classes.
    verdicts: tuple[ClassProbability, ...] = ()
    #: Positions of photo and dream on the network's art map, if it has one.
    place: MapPoint | None = None
    stages: Stages


class Failed(_JobEvent):
    """The job ended without a dream."""

    type: Literal["failed"] = "failed"
    reason: str


class Cancelled(_JobEvent):
    """The job was cancelled before its dream was complete."""

    type: Literal["cancelled"] = "cancelled"


class Shown(_JobEvent):
    """A dream that was held or hidden is visible from now on."""

    type: Literal["shown"] = "shown"
    completed: Completed
    #: When the dream was completed, in epoch seconds.
    dreamt_at: FiniteFloat


class Hidden(_JobEvent):
    """A dream is not visible any more."""

    type: Literal["hidden"] = "hidden"


class Deleted(_JobEvent):
    """A job and its dream were deleted for good."""

    type: Literal["deleted"] = "deleted"


class RuntimeSettingsChanged(_Event):
    """The operator changed the runtime settings; every component that uses them reads them again."""

    type: Literal["steered"] = "steered"


class FileRejected(_Event):
    """A file in the inbox was quarantined and did not become a photo."""

    type: Literal["refused"] = "refused"
    file: str
    #: Completes a sentence that begins with the file's name: “is damaged: …”.
    reason: str
    #: The same for guests, who read their own language; None if there is no text for it.
    cause: RefusalCause | None = None


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
    """An event with its id in the stream."""

    id: str
    event: Event
    #: Whether the job's dream is not visible: only the operator may see anything of it.
    held: bool = False

    @property
    def recorded_at(self) -> float:
        """When it was recorded, in epoch seconds of the broker's clock."""
        return int(self.id.partition("-")[0]) / 1000


def parse_event_id(event_id: str) -> tuple[int, ...]:
    """Return the id of an event as numbers, which compare as the events follow one another."""
    return tuple(map(int, event_id.split("-")))


def parse_entry(entry_id: str, fields: dict[str, str]) -> RecordedEvent | None:
    """Parse one stream entry; None if it is not an event of a known version, so that readers can skip it."""
    try:
        return RecordedEvent(entry_id, _EVENT_ADAPTER.validate_json(fields.get("event", "")), HELD_FIELD in fields)
    except ValidationError:
        return None


class EventLog:
    """The stream of events, for appending outside a job transition."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def append(self, event: Event) -> None:
        """Append an event that changes no job's state. Raises RedisError."""
        self._client.xadd(STREAM, {"event": event.model_dump_json()}, maxlen=STREAM_LENGTH, approximate=True)

    def first_id(self) -> str | None:
        """Return the id of the oldest event, None if there is none. Raises RedisError."""
        response = self._client.xread({STREAM: STREAM_START_ID}, count=1)
        streams = cast("list[tuple[str, list[tuple[str, dict[str, str]]]]]", response or [])
        return streams[0][1][0][0] if streams else None

    def last_id(self) -> str:
        """Return the id of the newest event, STREAM_START_ID if there is none. Raises RedisError."""
        newest = cast("list[tuple[str, dict[str, str]]]", self._client.xrevrange(STREAM, count=1))
        return newest[0][0] if newest else STREAM_START_ID


class EventReader:
    """Reads the stream from a position of its own, and misses no event after it unless the stream was trimmed."""

    def __init__(self, client: redis.Redis, after_id: str = STREAM_START_ID) -> None:
        self._client = client
        #: Id of the last entry read, valid or not.
        self.position = after_id

    def read(self, *, wait_seconds: float = 0, max_events: int = 500) -> list[RecordedEvent]:
        """Return the next events, at most `max_events`, oldest first; if there are none, wait up to `wait_seconds`.

        Skips entries that are not events of a known version, so the position may advance even if the result is empty.
        Raises RedisError.
        """
        block = max(1, round(wait_seconds * 1000)) if wait_seconds else None
        response = self._client.xread({STREAM: self.position}, count=max_events, block=block)
        streams = cast("list[tuple[str, list[tuple[str, dict[str, str]]]]]", response or [("", [])])
        events = []
        for entry_id, fields in streams[0][1]:
            self.position = entry_id
            if recorded := parse_entry(entry_id, fields):
                events.append(recorded)
        return events
