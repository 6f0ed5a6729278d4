"""The event hub: supervises stream reader, viewers and housekeeping, and turns events into what viewers see."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from display.media.pictures import Pictures
from display.moderation import Moderation
from display.state.broker_pool import BrokerPool
from display.state.dream_index import Dream, DreamIndex
from display.state.dream_traces import DreamTraces
from display.state.event_appearance import load_event_appearance
from display.state.housekeeping import Housekeeping
from display.state.live_state import Change, LiveState
from display.state.screens import Screens
from display.state.statistics import Statistics
from display.state.stream_reader import MAX_EVENTS_PER_READ, StreamEntries, StreamReader
from display.state.usage_recorder import UsageRecorder
from display.state.viewers import Viewers
from display.web.build import get_build_id
from display.web.sse import ClientQueue, SseMessage, Viewer
from display.web.supervision import run_supervised
from display.web.theme import describe_appearance
from display.web.threads import run_in_thread
from shared.jobs.events import (
    STREAM_START_ID,
    Completed,
    Deleted,
    Hidden,
    RecordedEvent,
    RuntimeSettingsChanged,
    Shown,
    parse_entry,
)
from shared.jobs.table import JobTable
from shared.monitoring import metrics
from shared.monitoring.stage_timer import record_stage
from shared.recipe.canary import Canary
from shared.runtime_settings import RuntimeSettings
from shared.settings import Settings
from shared.storage.sidecar import Visibility

logger = logging.getLogger(__name__)


#: Events that are queued for a subscriber: those of a few reads, which are applied without a pause in between.
MAX_QUEUED_EVENTS = 4 * MAX_EVENTS_PER_READ

#: Seconds after a connection was made, or events were missed, until jobs are dropped that the broker does not know or
#: that have ended. Before that producers submit again what a wiped broker has lost, and the stream is read.
LOST_JOBS_CHECK_SECONDS = 60.0


class EventHub:
    """Applies the events of the stream to the state, and broadcasts the changes. Runs in one event loop."""

    def __init__(self, settings: Settings, pictures: Pictures) -> None:
        """Read the event file. Raises ArtDreamError if it is not valid."""
        self._pictures = pictures
        event_appearance = load_event_appearance(settings)
        #: How the event looks: as in the event file, until the runtime settings have been read.
        self.appearance = event_appearance.appearance
        #: Of the runtime settings; None until they have been read.
        self.canary: Canary | None = None
        #: For all that asks the broker now and then; the stream has a connection of its own.
        self.broker = BrokerPool(settings)
        self._live_state = LiveState()
        #: All dreams of the installation.
        self.dream_index = DreamIndex()
        self.statistics = Statistics()
        self.moderation = Moderation(settings, self.dream_index, event_appearance, self.broker)
        self.screens = Screens(self.dream_index)
        #: Counts what guests do.
        self.usage_recorder = UsageRecorder(self.broker)
        #: Traces what is sent to the viewers.
        self.traces = DreamTraces(settings)
        self._settings_changed = False
        self._lost_jobs_check_at = math.inf  # by the monotonic clock
        self._reader = StreamReader(settings, self)
        self._housekeeping = Housekeeping(
            settings,
            self.broker,
            self.dream_index,
            self.moderation,
            self._handle_load,
            self._apply_settings,
        )
        self._subscribers: set[ClientQueue[RecordedEvent]] = set()
        self._viewers = Viewers(
            self._make_snapshot,
            self.screens.shows,
            (self._reader.tried, self._housekeeping.store_tried, self._housekeeping.settings_tried),
        )

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Run reader and housekeeping while the context is open; then end the streams of all viewers."""
        housekeeping = self._housekeeping
        async with run_supervised(
            self._reader.run,
            self.usage_recorder.run,
            housekeeping.load_from_store,
            housekeeping.send_heartbeats,
            housekeeping.sync_runtime_settings,
            housekeeping.persist_usage_counts,
            housekeeping.clean_up,
        ):
            try:
                yield
            finally:
                self.close()
        await asyncio.to_thread(self.traces.close)

    def connect_viewer(self, screen_name: str = "") -> AbstractAsyncContextManager[Viewer]:
        """Return a context that adds a viewer. Its first message is a snapshot; whatever happens after that follows.

        screen_name: "" for a wall without a name, and for every other page.
        """
        return self._viewers.connect(screen_name)

    @contextmanager
    def subscribe(self) -> Iterator[ClientQueue[RecordedEvent]]:
        """Return a context with a queue of all events from then on, each after it was applied here.

        A queue that is full is disconnected.
        """
        queue = ClientQueue[RecordedEvent](MAX_QUEUED_EVENTS)
        self._subscribers.add(queue)
        try:
            yield queue
        finally:
            self._subscribers.discard(queue)

    @property
    def last_event_id(self) -> str:
        """Id of the last event that was applied."""
        return self.dream_index.last_event_id

    def describe_queue(self) -> dict[str, object]:
        """Return the number of waiting photos, and the seconds until the last one has its dream, None if unknown."""
        return self._live_state.describe_queue(self.now)

    @property
    def connected_screens(self) -> set[str]:
        """The names of the screens that are connected."""
        return self._viewers.screen_names - {""}

    @property
    def now(self) -> float:
        """The broker's clock, in epoch seconds."""
        return self._reader.now

    @property
    def is_reading(self) -> bool:
        """Whether events are read as they come, or the broker, which is unavailable, is tried again and again."""
        return self._reader.is_reading

    def is_picture_visible(self, job_id: str, name: str) -> bool:
        """Return whether everybody may see a picture of a job, given by its object name."""
        return self.dream_index.is_visible(job_id) or self._live_state.is_frame_visible(job_id, name)

    def is_photo_visible(self, photo: str) -> bool:
        """Return whether everybody may see a photo, given by its object name."""
        return self.dream_index.is_photo_visible(photo) or self._live_state.is_photo_visible(photo)

    def describe_job(self, job_id: str) -> dict[str, object] | None:
        """Return the state of an unfinished job for the guest who waits for it; None if it is unknown or completed."""
        return self._live_state.describe_job(job_id, self.now)

    def close(self) -> None:
        """End the streams of all viewers and subscribers."""
        self._viewers.disconnect()
        for queue in self._subscribers:
            queue.disconnect()

    def handle_entries(self, entries: StreamEntries) -> None:
        """Apply entries of the stream, and broadcast what changes for viewers. One that causes a fault is skipped."""
        for entry_id, fields in entries:
            try:
                # An entry that was trimmed while it was read has no fields; one of another version is no event here.
                recorded = parse_entry(entry_id, fields or {})
                if recorded is not None:
                    self._handle_event(recorded)
                elif fields:
                    self._count_unreadable()
            except Exception:  # read again, it would cause the same fault again, and nothing after it would be seen
                logger.exception("event %s was skipped: %s", entry_id, fields)
                self._count_unreadable()
            self.dream_index.last_event_id = entry_id

    def _handle_event(self, recorded: RecordedEvent) -> None:
        self.statistics.apply(recorded)
        change = self._live_state.apply(recorded)
        if change := self._update_index(recorded) or change:
            self._viewers.broadcast(change, recorded.id)
            if change.kind == "dream" and self._reader.is_connected:
                self.traces.record_show(recorded, self.now - recorded.recorded_at)
        self._settings_changed |= isinstance(recorded.event, RuntimeSettingsChanged)
        for queue in list(self._subscribers):
            if not queue.offer(recorded):
                self._subscribers.discard(queue)

    def _count_unreadable(self) -> None:
        self.statistics.unreadable_events += 1
        metrics.count_unreadable("event")

    def handle_gap(self) -> None:
        """Have the store scanned for dreams whose events were missed, and later the broker asked for jobs."""
        self.dream_index.is_complete = False
        self.dream_index.last_event_id = self._reader.last_id or STREAM_START_ID  # the stream may be another one
        self._housekeeping.store_scan_needed.set()
        self._lost_jobs_check_at = time.monotonic() + LOST_JOBS_CHECK_SECONDS

    def _handle_load(self) -> None:
        """Send viewers what they show; once all is known, remove from the cache what was deleted without an event."""
        if self.dream_index.is_complete:
            photos = {dream.photo for dream in self.dream_index.list_all()}
            self._pictures.remove_unused(
                self.dream_index.is_deleted,
                lambda photo: photo in photos or self._live_state.is_photo_visible(photo),
            )
        self._viewers.broadcast_snapshots()

    def handle_connection(self, *, is_connected: bool) -> None:
        """Tell viewers whether the broker is connected."""
        self._viewers.broadcast(Change("broker", {"connected": is_connected}))

    async def finish_read(self, *, has_caught_up: bool) -> None:
        """Apply the runtime settings after a reconnect, and when they have changed. Drop lost jobs when it is time."""
        if has_caught_up:
            self._lost_jobs_check_at = time.monotonic() + LOST_JOBS_CHECK_SECONDS
        if has_caught_up or self._settings_changed:
            self._settings_changed = False
            await self._housekeeping.apply_runtime_settings()
        if time.monotonic() >= self._lost_jobs_check_at:
            await self._drop_lost_jobs()
            self._lost_jobs_check_at = math.inf

    async def _drop_lost_jobs(self) -> None:
        """Drop the jobs that the broker does not know or that have ended: a wiped broker announces no end of them.

        The events of one that is accepted meanwhile are read, and count it, after this.
        """
        job_ids = self._live_state.list_unfinished()
        states = await run_in_thread(lambda: JobTable(self.broker.get()).get_states(job_ids))
        lost = [job_id for job_id, state in zip(job_ids, states, strict=True) if state is None or state.is_final]
        for change in self._live_state.forget(lost, self.now):
            self._viewers.broadcast(change)

    def _apply_settings(self, runtime_settings: RuntimeSettings) -> None:
        """Apply what concerns the pages of this display, and send viewers what they show now."""
        self.canary = runtime_settings.canary
        if runtime_settings.appearance != self.appearance:
            self.appearance = runtime_settings.appearance
            self._viewers.broadcast(Change("appearance", describe_appearance(self.appearance)))
        is_changed = self.screens.update(runtime_settings.screens)
        if runtime_settings.opened_at != self.dream_index.opened_at:
            self.dream_index.opened_at, is_changed = runtime_settings.opened_at, True
        if is_changed:
            self._viewers.broadcast_snapshots()

    def _update_index(self, recorded: RecordedEvent) -> Change | None:
        """Apply an event to the dream index; return the change for viewers, None if they see none."""
        match recorded.event:
            case Completed() as event:
                self._pictures.prefetch(event)
                visibility = self._resolve_visibility(event.job_id, is_held=recorded.held)
                dream = Dream.from_completed(event, recorded.recorded_at, visibility)
            case Shown() as event:
                dream = Dream.from_completed(event.completed, event.dreamt_at)
            case Hidden() as event:
                self.dream_index.hide(event.job_id)
                return self._make_gallery_change("gone", {"job_id": event.job_id}, recorded.recorded_at)
            case Deleted() as event:
                self.dream_index.delete(event.job_id)
                self._pictures.remove_dream(event.job_id, event.photo_id)
                return self._make_gallery_change("gone", {"job_id": event.job_id}, recorded.recorded_at)
            case _:
                return None
        self.dream_index.put(dream)
        is_visible = self.dream_index.is_visible(dream.job_id)
        is_shown = is_visible and dream.completed_at >= self.dream_index.opened_at
        if is_visible and not is_shown and (names := self.screens.list_chosen_for(dream.job_id)):
            self._viewers.broadcast_snapshots(names)  # of an earlier event, so that no other screen may take it in
        if is_shown and self._reader.is_connected:  # what is read before that is the past
            record_stage(dream.job_id, "show", max(0.0, self.now - recorded.recorded_at))
        return self._make_gallery_change("dream", dream.as_json(), recorded.recorded_at) if is_shown else None

    def _resolve_visibility(self, job_id: str, *, is_held: bool) -> Visibility:
        """Return the visibility of a completed dream: only the operator shows what was held or hidden before."""
        before = self.dream_index.find(job_id)
        if before is not None and before.visibility is not Visibility.SHOWN:
            return before.visibility
        return Visibility.HELD if is_held else Visibility.SHOWN

    def _make_gallery_change(self, kind: str, body: dict[str, object], at: float) -> Change:
        count = {"count": self.dream_index.visible_count}
        return Change(kind, body | count | self._live_state.describe_queue(at))

    def _make_snapshot(self, screen_name: str) -> SseMessage:
        dreams = [dream.as_json() for dream in self.screens.list_dreams(screen_name)]
        is_connected = self._reader.is_connected is not False
        body = self._live_state.snapshot(self.now, lambda job: self.screens.shows_running(screen_name, job.title)) | {
            "dreams": dreams,
            "count": self.dream_index.visible_count,
            "connected": is_connected,
            "build": get_build_id(),
            "screen": self.screens.describe(screen_name),
            "appearance": describe_appearance(self.appearance),
        }
        return SseMessage.from_change(Change("snapshot", body), self._reader.last_id or "")
