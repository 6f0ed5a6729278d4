"""Dream traces: the spans of a dream from its event to the walls that paint it, if tracing is on."""

import time
from dataclasses import dataclass

from shared.jobs.events import Completed, RecordedEvent, Shown
from shared.monitoring.tracing import SpanName, open_tracer
from shared.settings import Settings

#: Seconds after the event of a dream for which walls may report that they painted it, and reports that count: a script
#: that reports more adds nothing.
PAINT_TIMEOUT_SECONDS, MAX_PAINT_REPORTS = 60.0, 20


@dataclass
class _ShownDream:
    """A dream that was just sent to the viewers."""

    #: When its event was appended, by this machine's clock, in epoch seconds.
    announced_at: float
    recipe: str
    reports: int = 0


class DreamTraces:
    """Records the spans of this display. For one thread."""

    def __init__(self, settings: Settings) -> None:
        """Raise ArtDreamError if tracing is on, and OpenTelemetry is not installed."""
        self._tracer = open_tracer(settings, "display")
        self._dreams: dict[str, _ShownDream] = {}

    def record_show(self, recorded: RecordedEvent, seconds: float) -> None:
        """Record that the dream of an event was just sent to the viewers. seconds: since the event was appended."""
        completed = recorded.event.completed if isinstance(recorded.event, Shown) else recorded.event
        if not self._tracer.is_on or not isinstance(completed, Completed):
            return
        now = time.time()
        self._dreams = {
            job_id: dream for job_id, dream in self._dreams.items() if dream.announced_at > now - PAINT_TIMEOUT_SECONDS
        }
        dream = self._dreams[completed.job_id] = _ShownDream(now - max(0.0, seconds), completed.recipe)
        self._record(SpanName.SHOW, completed.job_id, dream)

    def record_paint(self, job_id: str) -> bool:
        """Record that a wall has just painted a dream; False if that is not expected, and nothing is recorded."""
        dream = self._dreams.get(job_id)
        if dream is None or dream.reports >= MAX_PAINT_REPORTS:
            return False
        dream.reports += 1
        self._record(SpanName.PAINT, job_id, dream)
        return True

    def close(self) -> None:
        """Send the spans that wait; takes two seconds at most."""
        self._tracer.close()

    def _record(self, name: SpanName, job_id: str, dream: _ShownDream) -> None:
        self._tracer.record(name, job_id, dream.announced_at, time.time(), attributes={"recipe": dream.recipe})
