"""Traces: which spans there are of a job, and the tracer that records them. It does nothing unless tracing is on.

A trace has the id of its job, which is as long as a trace id, and the ids of its outer spans are derived from it. So
every component finds the trace of a job without being told of it, and jobs and messages are the same with tracing and
without.
"""

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum

from shared.errors import ArtDreamError
from shared.jobs.job import Job, Lane, Origin
from shared.settings import ENV_PREFIX, Settings


class SpanName(StrEnum):
    """A span of a job's trace."""

    PHOTO = "photo"  # from the file's arrival until the job has ended
    INTAKE = "intake"  # from the file's arrival until the job is queued
    SETTLE = "settle"
    CONVERT = "convert"
    OUTBOX = "outbox"  # wait for the photos before it, and for store and broker
    UPLOAD = "upload"
    ENQUEUE = "enqueue"  # accept the job and send its message
    QUEUE = "queue"
    ATTEMPT = "attempt"  # a worker's claim of the job
    FETCH = "fetch"
    DREAM = "dream"
    PUBLISH = "publish"
    ANNOUNCE = "announce"  # write the sidecar, complete the job, append its event
    SHOW = "show"  # from the event until a display has sent the dream to its viewers
    PAINT = "paint"  # from the event until the display knows that a wall has painted it


#: The span in which each span lies; None: it is the outermost. A display's spans follow the end of the outermost.
PARENTS: Mapping[SpanName, SpanName | None] = {
    SpanName.PHOTO: None,
    **dict.fromkeys((SpanName.INTAKE, SpanName.QUEUE, SpanName.ATTEMPT, SpanName.SHOW, SpanName.PAINT), SpanName.PHOTO),
    **dict.fromkeys(
        (SpanName.SETTLE, SpanName.CONVERT, SpanName.OUTBOX, SpanName.UPLOAD, SpanName.ENQUEUE), SpanName.INTAKE
    ),
    **dict.fromkeys((SpanName.FETCH, SpanName.DREAM, SpanName.PUBLISH, SpanName.ANNOUNCE), SpanName.ATTEMPT),
}

#: Prefix of the names of a span's attributes.
_PREFIX = "artdream."


class Tracer:
    """Records no spans: tracing is off."""

    #: Whether spans are recorded.
    is_on = False

    def record(
        self,
        name: SpanName,
        job_id: str,
        started_at: float,
        ended_at: float,
        *,
        attributes: Mapping[str, str] | None = None,
        attempt: int = 0,
        outcome: str = "",
    ) -> None:
        """Record a span that has ended. Never waits, and drops the span if too many wait to be sent.

        started_at, ended_at: epoch seconds. attributes: of `describe_job`. attempt: fencing token of the worker's
        claim; 0: none. outcome: how the job or the attempt ended; "failed" marks an error.
        """

    def close(self) -> None:
        """Send the spans that wait; takes two seconds at most."""


#: The name of a bundled network or one of Keras; other networks are files.
_NETWORK_NAME = re.compile(r"[\w-]+")

#: The tracer of a process without tracing.
NO_TRACER = Tracer()


def open_tracer(settings: Settings, component: str) -> Tracer:
    """Return the tracer of a process; call it after the fork. Without tracing, it imports nothing of OpenTelemetry.

    component: “producer”, “worker” or “display”. Raises ArtDreamError if OpenTelemetry is not installed.
    """
    if not settings.tracing:
        return NO_TRACER
    try:
        from shared.monitoring.otlp import OtlpTracer
    except ModuleNotFoundError as error:
        raise ArtDreamError(
            f"Tracing needs {error.name}: install artdream with the extra “tracing”, or set {ENV_PREFIX}TRACING=false."
        ) from error
    return OtlpTracer(component)


def describe_job(job: Job) -> dict[str, str]:
    """Return the attributes of a job's spans: nothing of its guest, and no name of a file."""
    network = job.recipe.network if _NETWORK_NAME.fullmatch(job.recipe.network) else "a file"
    origin = Origin.BATCH if job.lane is Lane.BATCH else job.origin
    return {"recipe": job.recipe.name, "network": network, "lane": job.lane, "origin": origin}


def make_attributes(
    job_id: str, attributes: Mapping[str, str] | None, attempt: int, outcome: str
) -> dict[str, str | int]:
    """Return the attributes of a span under their full names."""
    named: dict[str, str | int] = {"job": job_id, **(attributes or {})}
    if attempt:
        named["attempt"] = attempt
    if outcome:
        named["outcome"] = outcome
    return {_PREFIX + name: value if isinstance(value, int) else str(value) for name, value in named.items()}


def derive_trace_id(job_id: str) -> int:
    """Return the id of a job's trace: the job's own id, which is 128 bits long."""
    return int(job_id, 16)


def derive_span_id(job_id: str, name: SpanName, attempt: int) -> int:
    """Return the id of a span that others lie in, 64 bits. attempt: matters only for the spans of an attempt."""
    key = f"{job_id}/{name}/{attempt if name is SpanName.ATTEMPT else 0}"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
