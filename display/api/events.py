"""Events: what happens to a key's jobs, as server-sent events that a client resumes where it left off."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import redis
from fastapi import APIRouter, Header
from starlette.responses import StreamingResponse

from display.api.access import ReadKey, choose_owner
from display.api.problems import ApiProblem, ProblemType, document_problems
from display.api.services import ApiServices, Services
from display.state.live_state import Change
from display.web.sse import KEEPALIVE_SECONDS, RECONNECT_MILLISECONDS, ClientQueue, SseMessage
from shared.api.jobs import ApiJobs
from shared.api.keys import ApiKey, ApiKeys
from shared.api.resources import JobEvent, JobState
from shared.guest_upload_names import parse_file_name
from shared.jobs.events import (
    STREAM_START_ID,
    Cancelled,
    Completed,
    Deleted,
    EventLog,
    EventReader,
    Failed,
    FileRejected,
    Hidden,
    Progress,
    Queued,
    RecordedEvent,
    Shown,
    Started,
    parse_event_id,
)
from shared.jobs.job import Origin

#: Streams of one key, and of all keys together, at most.
MAX_STREAMS_PER_KEY, MAX_STREAMS = 10, 100

#: Jobs of which a stream remembers whose they are.
_MAX_REMEMBERED_JOBS = 10_000

#: Events that are read of the past at a time.
_EVENTS_PER_READ = 500

router = APIRouter()

_STREAM_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "Events without end. `connected` comes first. `job` has a `JobEvent` as its data. `gap`: what happened "
            "since `Last-Event-ID` is not known in full, so ask for your jobs. `heartbeat` comes every ten seconds."
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses=_STREAM_RESPONSE
    | document_problems(
        ProblemType.UNAUTHORIZED,
        ProblemType.SCOPE_MISSING,
        ProblemType.INVALID_REQUEST,
        ProblemType.TOO_MANY_STREAMS,
        ProblemType.UNAVAILABLE,
    ),
)
async def stream_events(
    services: Services,
    key: ReadKey,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            pattern=r"^[0-9]{1,18}-[0-9]{1,18}$",
            description="Id of the last event that was received: those after it come first.",
        ),
    ] = None,
) -> StreamingResponse:
    """Follow the key's jobs; with the scope `all`, those of all keys."""
    streams = services.streams
    if streams[key.id] >= MAX_STREAMS_PER_KEY or streams.total() >= MAX_STREAMS:
        raise ApiProblem(
            ProblemType.TOO_MANY_STREAMS,
            f"A key may follow {MAX_STREAMS_PER_KEY} streams at a time: close one, or try again later.",
            headers={"Retry-After": "10"},
        )
    stream = _Stream(services, key)
    # nginx and others buffer responses by default, which would delay every event.
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(stream.iterate(last_event_id), media_type="text/event-stream", headers=headers)


class _Stream:
    """The events of one client."""

    def __init__(self, services: ApiServices, key: ApiKey) -> None:
        self._services, self._key = services, key
        self._owner = choose_owner(key)
        self._own_jobs, self._foreign_jobs = set[str](), set[str]()
        self._last_id = STREAM_START_ID

    async def iterate(self, last_event_id: str | None) -> AsyncIterator[bytes]:
        """Yield encoded events until the client leaves, is too slow, or its key is revoked.

        While the broker is unavailable the stream ends: the client connects again with its last id, and misses nothing.
        """
        streams: Counter[str] = self._services.streams
        streams[self._key.id] += 1
        try:
            # First the subscription, then the past up to there: nothing is missed in between, and nothing comes twice.
            with self._services.event_hub.subscribe() as queue:
                until = self._services.event_hub.last_event_id
                self._last_id = last_event_id or until
                yield f"retry: {RECONNECT_MILLISECONDS}\n".encode() + self._encode("connected")
                if last_event_id is not None:
                    async for data in self._replay(last_event_id, until):
                        yield data
                async for data in self._follow(queue):
                    yield data
        except ApiProblem:
            return
        finally:
            streams[self._key.id] -= 1
            if not streams[self._key.id]:
                del streams[self._key.id]

    async def _follow(self, queue: ClientQueue[RecordedEvent]) -> AsyncIterator[bytes]:
        """Yield events as they happen, and heartbeats in between."""
        next_heartbeat = time.monotonic() + KEEPALIVE_SECONDS
        while True:
            events: list[RecordedEvent] = []
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, next_heartbeat - time.monotonic())):
                    event = await queue.take()
                if event is None:
                    return
                events = [event, *queue.take_waiting()]
            for data in await self._select(events):
                yield data
            if time.monotonic() >= next_heartbeat:
                next_heartbeat = time.monotonic() + KEEPALIVE_SECONDS
                if not await self._is_key_valid():
                    return
                yield self._encode("heartbeat")

    async def _replay(self, after: str, until: str) -> AsyncIterator[bytes]:
        """Yield the events between two ids, and before them whether some are missing."""
        first = await self._services.ask_broker(lambda client: EventLog(client).first_id())
        last_sent, last = parse_event_id(after), parse_event_id(until)
        is_trimmed = after != STREAM_START_ID and (first is None or last_sent < parse_event_id(first))
        is_ahead = last_sent > last  # the broker was wiped meanwhile
        if is_trimmed or is_ahead:
            self._last_id = until if is_ahead else self._last_id
            yield self._encode("gap")
        if is_ahead:
            return
        position = after
        while True:
            read = partial(_read_events, after=position)
            before, (events, position) = position, await self._services.ask_broker(read)
            for data in await self._select([event for event in events if parse_event_id(event.id) <= last]):
                yield data
            if position == before or parse_event_id(position) >= last:
                return

    async def _select(self, events: Sequence[RecordedEvent]) -> list[bytes]:
        """Return what the client is sent of some events: those of its key's jobs."""
        if len(self._foreign_jobs) + len(self._own_jobs) > _MAX_REMEMBERED_JOBS:
            self._own_jobs, self._foreign_jobs = set(), set()
        changes = [(recorded, change) for recorded in events if (change := _to_job_event(recorded))]
        # Most events are frames of others' jobs: whose a job is does not change between two frames.
        asked = {
            change.id
            for recorded, change in changes
            if change.id not in self._own_jobs
            and not (isinstance(recorded.event, Progress) and change.id in self._foreign_jobs)
        }
        if asked:
            job_ids = list(asked)
            known = await self._services.ask_broker(lambda client: ApiJobs(client).are_known(self._owner, job_ids))
            self._own_jobs |= {job_id for job_id, is_known in zip(job_ids, known, strict=True) if is_known}
            self._foreign_jobs |= asked
            self._foreign_jobs -= self._own_jobs
        selected = []
        for recorded, change in changes:
            if change.id in self._own_jobs:
                self._last_id = recorded.id
                selected.append(self._encode("job", change.model_dump(mode="json", exclude_none=True)))
        if events:
            self._last_id = events[-1].id
        return selected

    async def _is_key_valid(self) -> bool:
        """Return whether the key was not revoked since; True while the broker is unavailable."""
        try:
            key = await self._services.ask_broker(
                lambda client: ApiKeys(client, self._services.pictures.store).find(self._key.id)
            )
        except ApiProblem:
            return True
        return key is not None

    def _encode(self, kind: str, body: dict[str, object] | None = None) -> bytes:
        return SseMessage.from_change(Change(kind, body or {}), self._last_id).data


def _to_job_event(recorded: RecordedEvent) -> JobEvent | None:
    """Return what an event means for a program; None if it is not about a job."""
    event, fraction, reason = recorded.event, None, None
    at = datetime.fromtimestamp(recorded.recorded_at, UTC)
    match event:
        case Queued():
            state = JobState.QUEUED
        case Started():
            state = JobState.STARTED
        case Progress():
            state, fraction = JobState.STARTED, event.fraction
        case Completed():
            state = JobState.HELD if recorded.held else JobState.COMPLETED
        case Shown():
            state = JobState.COMPLETED
        case Failed():
            state, reason = JobState.FAILED, event.reason
        case Cancelled():
            state = JobState.CANCELLED
        case Hidden() | Deleted():
            state = JobState.GONE
        case FileRejected():
            upload = parse_file_name(event.file)
            if upload is None or upload.origin is not Origin.API:
                return None
            return JobEvent(id=upload.job_id, state=JobState.REFUSED, at=at, reason=event.reason)
        case _:
            return None
    return JobEvent(id=event.job_id, state=state, at=at, fraction=fraction, reason=reason)


def _read_events(client: redis.Redis, after: str) -> tuple[list[RecordedEvent], str]:
    """Return the next events after an id, and the id of the last entry that was read."""
    reader = EventReader(client, after)
    return reader.read(max_events=_EVENTS_PER_READ), reader.position
