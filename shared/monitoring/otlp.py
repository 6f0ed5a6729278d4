"""OTLP: send spans to a collector with OpenTelemetry. The only module that imports it, and only if tracing is on.

OpenTelemetry's own environment variables configure the collector, the sampler and the batches.
"""

import logging
import threading
from collections.abc import Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags, set_span_in_context

from shared.monitoring.tracing import (
    PARENTS,
    SpanName,
    Tracer,
    derive_span_id,
    derive_trace_id,
    make_attributes,
)

logger = logging.getLogger(__name__)

#: Seconds that `close` waits for the last spans to be sent.
FLUSH_TIMEOUT_SECONDS = 2.0


class OtlpTracer(Tracer):
    """Sends spans to a collector from a thread of its own, in batches, over HTTP."""

    is_on = True

    def __init__(self, component: str) -> None:
        self._ids = _DerivedIds()
        self._exporter = _ReportingExporter(OTLPSpanExporter())
        self._provider = TracerProvider(
            resource=_make_resource(component), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("artdream")
        # It reports each retry and each batch; the exporter above says once what matters.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

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
        """Record a span that has ended."""
        trace_id, parent = derive_trace_id(job_id), PARENTS[name]
        # The same for all spans of a trace, in every component: the samplers decide by the trace's id.
        sampled = self._provider.sampler.should_sample(None, trace_id, name)
        if sampled.decision is not Decision.RECORD_AND_SAMPLE:
            return
        context = Context()
        if parent is not None:
            span_context = SpanContext(
                trace_id,
                derive_span_id(job_id, parent, attempt),
                is_remote=True,
                trace_flags=TraceFlags(TraceFlags.SAMPLED),
            )
            context = set_span_in_context(NonRecordingSpan(span_context), context)
        # Ids that are derived from the job name the spans that others lie in.
        span_id = derive_span_id(job_id, name, attempt) if name in PARENTS.values() else None
        with self._ids.use(trace_id, span_id):
            span = self._tracer.start_span(
                name,
                context,
                attributes=make_attributes(job_id, attributes, attempt, outcome),
                start_time=int(started_at * 1e9),
            )
        if outcome == "failed":
            span.set_status(StatusCode.ERROR)  # without the reason, which may name a file
        span.end(int(max(started_at, ended_at) * 1e9))

    def close(self) -> None:
        """Send the spans that wait; takes FLUSH_TIMEOUT_SECONDS at most."""
        thread = threading.Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        thread.start()
        thread.join(FLUSH_TIMEOUT_SECONDS)
        if thread.is_alive():
            self._exporter.shutdown()


class _DerivedIds(RandomIdGenerator):
    """Gives the next span of this thread the ids that `use` was called with, and every other span random ones."""

    def __init__(self) -> None:
        self._local = threading.local()

    def use(self, trace_id: int, span_id: int | None) -> "_DerivedIds":
        self._local.ids = trace_id, span_id
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        del self._local.ids

    def generate_trace_id(self) -> int:
        trace_id, _ = getattr(self._local, "ids", (None, None))
        return super().generate_trace_id() if trace_id is None else trace_id

    def generate_span_id(self) -> int:
        _, span_id = getattr(self._local, "ids", (None, None))
        return super().generate_span_id() if span_id is None else span_id


class _ReportingExporter(SpanExporter):
    """Logs one sentence if the collector does not take spans, and another when it takes them again."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing and not self._is_failing:
            logger.warning(
                "Spans cannot be sent to the collector, and are dropped until it takes them: "
                "does it run, and is OTEL_EXPORTER_OTLP_ENDPOINT its address?"
            )
        elif self._is_failing and not is_failing:
            logger.info("The collector takes spans again.")
        self._is_failing = is_failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _make_resource(component: str) -> Resource:
    """Return what sends the spans: the component, unless OpenTelemetry's variables name another service."""
    resource = Resource.create({SERVICE_NAMESPACE: "artdream"})
    if not str(resource.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        return resource
    return resource.merge(Resource({SERVICE_NAME: f"artdream-{component}"}))
