"""The follower: queues a message for each endpoint that wants to be told of an event, once."""

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import redis

from display.webhooks.content import find_visible
from shared.api.jobs import ApiJobs
from shared.jobs.events import (
    STREAM_START_ID,
    Completed,
    EventLog,
    EventReader,
    Failed,
    RecordedEvent,
    Shown,
    parse_event_id,
)
from shared.jobs.table import JobTable
from shared.storage.object_names import DREAMS_PREFIX, webhook_mark_name
from shared.storage.sidecar import Sidecar
from shared.storage.store import Store
from shared.webhooks.endpoints import Endpoint, Endpoints
from shared.webhooks.table import DeliveryTable, Message, MessageType

logger = logging.getLogger(__name__)

#: Sidecars that are read at a time: a remote bucket answers many requests as fast as one.
_MAX_PARALLEL_READS = 16

#: Seconds that the clocks of store and broker may differ.
_CLOCK_TOLERANCE_SECONDS = 120.0


class EventFollower:
    """Queues the messages of events while one connection to the broker lasts. Methods raise RedisError and StoreError.

    Queueing the same event again has no effect, so several followers may run, and one that was killed reads some events
    again.
    """

    def __init__(self, client: redis.Redis, store: Store, *, delay: float) -> None:
        """delay: seconds from an event to the first attempt."""
        self._client, self._store, self._delay = client, store, delay
        self._table, self._endpoints = DeliveryTable(client), Endpoints(client, store)
        self._reader = EventReader(client, self._table.get_position() or STREAM_START_ID)

    def catch_up(self) -> None:
        """If the broker was wiped, or has forgotten events that were not read, queue what the store knows of them."""
        if self._table.is_restored() and not self._has_gap():
            return
        endpoints = self._list_active(MessageType.COMPLETED)
        if endpoints:
            since = min(endpoint.created_at for endpoint in endpoints)
            entries = {entry.name: entry for entry in self._store.list_objects(DREAMS_PREFIX)}
            jobs = [
                name.split("/")[1]
                for name, entry in entries.items()
                if name.endswith("/dream.json") and entry.modified.timestamp() > since - _CLOCK_TOLERANCE_SECONDS
            ]
            read = partial(find_visible, self._client, self._store)
            with ThreadPoolExecutor(_MAX_PARALLEL_READS, "webhook-reader") as readers:
                sidecars = [sidecar for sidecar in readers.map(read, jobs) if sidecar]
            for sidecar in sorted(sidecars, key=lambda sidecar: sidecar.completed_at):
                for endpoint in endpoints:
                    if webhook_mark_name(sidecar.job_id, endpoint.id) not in entries:
                        self._restore(endpoint, sidecar)
        self._table.mark_restored()

    def follow(self, wait_seconds: float) -> bool:
        """Queue the messages of the next events, or wait for one; False if the broker was wiped meanwhile."""
        before = self._reader.position
        events = self._reader.read(wait_seconds=wait_seconds)
        if not self._table.is_restored():
            return False
        endpoints = self._endpoints.list_endpoints() if events else []
        for recorded in events:
            self._handle(recorded, endpoints)
        if self._reader.position != before:
            self._table.set_position(self._reader.position)
        return True

    def _handle(self, recorded: RecordedEvent, endpoints: Sequence[Endpoint]) -> None:
        event = recorded.event
        timestamp = _format_time(recorded.recorded_at)
        match event:
            case Completed() if recorded.held:
                return
            case Completed() | Shown():
                message = Message(type=MessageType.COMPLETED, job_id=event.job_id, timestamp=timestamp)
                message_id = make_message_id(message)
            case Failed():
                message = Message(
                    type=MessageType.FAILED, job_id=event.job_id, timestamp=timestamp, reason=event.reason[:2000]
                )
                message_id = make_message_id(message, recorded.id)  # a job may fail again
            case _:
                return
        for endpoint in endpoints:
            if (
                endpoint.disabled
                or message.type not in endpoint.types
                or parse_event_id(recorded.id) <= parse_event_id(endpoint.after_id)
                or not self._is_told(endpoint, event.job_id)
            ):
                continue
            # What was hidden and is shown again was delivered before, perhaps longer ago than the broker remembers.
            if isinstance(event, Shown) and self._store.exists(webhook_mark_name(event.job_id, endpoint.id)):
                continue
            self._enqueue(endpoint, message_id, message)

    def _restore(self, endpoint: Endpoint, sidecar: Sidecar) -> None:
        if sidecar.completed_at > endpoint.created_at and self._is_told(endpoint, sidecar.job_id):
            message = Message(
                type=MessageType.COMPLETED, job_id=sidecar.job_id, timestamp=_format_time(sidecar.completed_at)
            )
            self._enqueue(endpoint, make_message_id(message), message)

    def _enqueue(self, endpoint: Endpoint, message_id: str, message: Message) -> None:
        if self._table.enqueue(endpoint.id, message_id, message, self._delay) < 0:
            logger.warning("Too many messages wait for %s: %s is given up.", endpoint.host, message_id)

    def _is_told(self, endpoint: Endpoint, job_id: str) -> bool:
        """Return whether an endpoint is told of a job: of all, or of those of its API key."""
        if not endpoint.key_id or ApiJobs(self._client).are_known(endpoint.key_id, [job_id])[0]:
            return True
        job = JobTable(self._client).get_job(job_id)
        return job is not None and job.submitter == endpoint.key_id

    def _list_active(self, message_type: MessageType) -> list[Endpoint]:
        return [e for e in self._endpoints.list_endpoints() if not e.disabled and message_type in e.types]

    def _has_gap(self) -> bool:
        """Return whether the stream was trimmed beyond what was read."""
        position, first_id = self._reader.position, EventLog(self._client).first_id()
        if first_id is None or position == STREAM_START_ID:
            return False
        return parse_event_id(first_id) > parse_event_id(position)


def make_message_id(message: Message, event_id: str = "") -> str:
    """Return the id of a message, the same whoever makes it, and for every endpoint: the receiver's idempotency key.

    event_id: id of the event in the stream, if the same may happen to a job again.
    """
    digest = hashlib.sha256(f"{message.type} {message.job_id} {event_id}".encode()).hexdigest()
    return f"msg_{digest[:32]}"


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
