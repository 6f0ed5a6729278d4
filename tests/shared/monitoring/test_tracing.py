"""Tracing: one photo is one trace, through all components; without tracing, or a collector, nothing is different."""

import asyncio
import itertools
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from display.media.pictures import Pictures
from display.state.event_hub import EventHub
from shared.errors import ArtDreamError
from shared.jobs.events import Completed, EventReader, Stage
from shared.jobs.job import Job
from shared.monitoring.otlp import FLUSH_TIMEOUT_SECONDS
from shared.monitoring.tracing import PARENTS, SpanName, describe_job, open_tracer
from shared.redis_keys import job_key
from shared.settings import Settings
from shared.storage.store import StoreError
from tests.dreamer import FAILING, StepDreamer
from tests.otlp_receiver import OtlpReceiver, ReceivedSpan
from tests.pictures import encode_jpeg, make_picture
from tests.producer.conftest import ProducerThread
from tests.waiting import wait_until
from tests.worker.jobs.processor_harness import SHORT_RECIPE, ProcessorHarness

#: What spans say of a job.
JOB_ATTRIBUTES = {"artdream.job", "artdream.recipe", "artdream.network", "artdream.lane", "artdream.origin"}

#: Seconds that two times of one component may differ by rounding, and of two components on a busy machine: a reply of
#: the broker takes so long at most.
CLOCK_SECONDS, TRANSIT_SECONDS = 0.05, 5.0


@pytest.fixture
def traced_settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"tracing": True})


@pytest.fixture
def traced_harness(traced_settings: Settings, client: redis.Redis, receiver: OtlpReceiver) -> ProcessorHarness:
    """A job processor of an installation with tracing."""
    return ProcessorHarness(traced_settings, client, StepDreamer.from_settings(traced_settings))


@pytest.fixture
def producer_thread(traced_settings: Settings, client: redis.Redis, receiver: OtlpReceiver) -> Iterator[ProducerThread]:
    producer = ProducerThread(traced_settings, client)
    producer.start()
    yield producer
    producer.stop()


def by_name(spans: list[ReceivedSpan]) -> dict[str, ReceivedSpan]:
    named = {span.name: span for span in spans}
    assert len(named) == len(spans), "no span was sent twice"
    return named


def show(settings: Settings, receiver: OtlpReceiver) -> None:
    """Run a display that shows what is dreamt from now on, until it has shown a dream."""

    async def run() -> None:
        event_hub = EventHub(settings, Pictures(settings))
        async with event_hub.run():
            await asyncio.to_thread(wait_until, lambda: SpanName.SHOW in {span.name for span in receiver.spans})

    asyncio.run(run())


@pytest.mark.slow
def test_a_photo_is_one_trace_from_its_file_over_a_worker_s_process_to_the_wall(
    producer_thread: ProducerThread, traced_harness: ProcessorHarness, receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """Without the ids that are derived from the job's, each component's spans are a trace of their own."""
    with traced_harness.running_worker(tmp_path):
        (producer_thread.inbox / "IMG_0001.jpg").write_bytes(encode_jpeg(make_picture(1)))
        show(traced_harness.settings, receiver)
        wait_until(lambda: SpanName.PHOTO in {span.name for span in receiver.spans})
        producer_thread.stop()
    expected = set(SpanName) - {SpanName.PAINT}  # which a browser reports: tests/display/state/test_dream_traces.py
    wait_until(lambda: len(receiver.spans) >= len(expected), "all spans are there")
    spans = by_name(receiver.spans)
    assert set(spans) == expected
    [completed] = [
        recorded.event
        for recorded in EventReader(traced_harness.client).read()
        if isinstance(recorded.event, Completed)
    ]
    assert {span.trace_id for span in spans.values()} == {completed.job_id}

    parents = {name: spans[parent].span_id if parent else "" for name, parent in PARENTS.items() if name in spans}
    assert {name: span.parent_id for name, span in spans.items()} == parents
    for name, parent in PARENTS.items():
        if parent and name not in (SpanName.SHOW, SpanName.PAINT):
            tolerance = CLOCK_SECONDS if spans[name].service == spans[parent].service else TRANSIT_SECONDS
            assert spans[name].started_at >= spans[parent].started_at - tolerance, name
            assert spans[name].ended_at <= spans[parent].ended_at + tolerance, name
    in_order = ["settle", "convert", "outbox", "upload", "enqueue", "queue", "fetch", "dream", "publish", "announce"]
    for before, after in itertools.pairwise(in_order):
        # A worker may claim the job before its producer knows that it is queued.
        tolerance = CLOCK_SECONDS if spans[before].service == spans[after].service else TRANSIT_SECONDS
        assert spans[before].ended_at <= spans[after].started_at + tolerance, (before, after)
    assert spans["queue"].ended_at == pytest.approx(spans["attempt"].started_at, abs=1e-6)
    assert abs(spans["show"].started_at - spans["photo"].ended_at) < TRANSIT_SECONDS

    for stage in Stage:
        assert spans[stage].seconds == pytest.approx(completed.stages[stage], abs=CLOCK_SECONDS), stage
    services = {name: span.service for name, span in spans.items()}
    assert {services[name] for name in ("intake", "settle", "enqueue")} == {"artdream-producer"}
    assert {services[name] for name in ("photo", "queue", "attempt", "dream")} == {"artdream-worker"}
    assert services["show"] == "artdream-display"

    said = {name: set(span.attributes) for name, span in spans.items()}
    assert said["intake"] == JOB_ATTRIBUTES
    assert said["dream"] == JOB_ATTRIBUTES | {"artdream.attempt"}
    assert said["photo"] == said["attempt"] == JOB_ATTRIBUTES | {"artdream.attempt", "artdream.outcome"}
    assert said["show"] == {"artdream.job", "artdream.recipe"}
    assert spans["photo"].attributes["artdream.outcome"] == "completed"
    assert "IMG_0001" not in str(spans)


def test_a_second_attempt_is_a_further_span_of_the_same_trace(
    traced_harness: ProcessorHarness, receiver: OtlpReceiver
) -> None:
    job, arrived_at = traced_harness.submit(1), time.time() - 100
    traced_harness.client.hset(job_key(job.id), "arrived", f"{arrived_at:.6f}")

    def lose_store() -> None:
        raise StoreError("The store is unavailable.")

    traced_harness.dreamer.during_first_ascent = lose_store
    with pytest.raises(StoreError):
        traced_harness.processor.process(job.id)
    traced_harness.processor.process(job.id)
    traced_harness.processor.close()
    spans = receiver.spans
    assert {span.trace_id for span in spans} == {job.id}
    attempts = {span.attributes["artdream.attempt"]: span for span in spans if span.name == SpanName.ATTEMPT}
    first, second = (attempts[token] for token in sorted(attempts))
    assert [span.attributes["artdream.outcome"] for span in (first, second)] == ["released", "completed"]
    [photo] = [span for span in spans if span.name == SpanName.PHOTO]
    assert {span.parent_id for span in attempts.values()} == {photo.span_id}
    fetches = [span for span in spans if span.name == SpanName.FETCH]
    assert first.span_id != second.span_id
    assert [span.parent_id for span in fetches] == [first.span_id, second.span_id]
    assert photo.started_at == pytest.approx(arrived_at, abs=TRANSIT_SECONDS)
    assert photo.ended_at >= second.ended_at - CLOCK_SECONDS


def test_a_failed_job_is_marked_as_an_error_without_its_reason(
    traced_harness: ProcessorHarness, receiver: OtlpReceiver
) -> None:
    job = traced_harness.submit(1, SHORT_RECIPE.model_copy(update={"name": FAILING}))
    traced_harness.processor.process(job.id)
    traced_harness.processor.close()
    spans = by_name(receiver.spans)
    assert {name for name, span in spans.items() if span.is_error} == {SpanName.PHOTO, SpanName.ATTEMPT}
    assert not any(span.status_message for span in spans.values())


def test_of_a_share_of_the_photos_each_component_sends_the_same(
    traced_settings: Settings, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    job_ids = [Job(photo_id="5" * 64, recipe=SHORT_RECIPE, seed=seed).id for seed in range(40)]
    for component, names in (("worker", (SpanName.PHOTO, SpanName.DREAM)), ("display", (SpanName.SHOW,))):
        tracer = open_tracer(traced_settings, component)
        for job_id in job_ids:
            for name in names:
                tracer.record(name, job_id, 0.0, 1.0)
        tracer.close()
    traced_ids = {name: {span.trace_id for span in receiver.spans if span.name == name} for name in SpanName}
    assert 5 < len(traced_ids[SpanName.PHOTO]) < 35
    assert traced_ids[SpanName.PHOTO] == traced_ids[SpanName.DREAM] == traced_ids[SpanName.SHOW]


def test_the_file_of_an_own_network_is_not_named() -> None:
    recipe = SHORT_RECIPE.model_copy(update={"network": "/home/anyone/mine.keras"})
    assert "anyone" not in str(describe_job(Job(photo_id="5" * 64, recipe=recipe)))
    assert describe_job(Job(photo_id="5" * 64, recipe=SHORT_RECIPE))["network"] == SHORT_RECIPE.network


def test_without_tracing_nothing_that_traces_is_imported() -> None:
    """The client of Redis imports the metrics of OpenTelemetry's SDK if it finds them, whatever ArtDream does."""
    program = """
import sys
TRACING = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "opentelemetry.proto", "shared.monitoring.otlp")
import display.state.event_hub, producer.watch, worker.app, worker.jobs.processor
from shared.monitoring.tracing import SpanName, open_tracer
from shared.settings import Settings
tracer = open_tracer(Settings(_env_file=None), "worker")
tracer.record(SpanName.PHOTO, "0" * 32, 0.0, 1.0)
tracer.close()
print([name for name in sys.modules if name.startswith(TRACING)])
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"


def test_tracing_without_its_extra_says_what_to_install(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "shared.monitoring.otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ArtDreamError, match="install artdream with the extra “tracing”"):
        open_tracer(settings.model_copy(update={"tracing": True}), "worker")


@pytest.mark.parametrize("is_listening", [False, True], ids=["no collector", "a collector that does not answer"])
def test_a_dead_collector_delays_nothing_and_is_reported_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_listening: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        if not is_listening:
            server.close()
        tracer = open_tracer(settings.model_copy(update={"tracing": True}), "worker")
        started_at = time.thread_time(), time.monotonic()
        for _ in range(3000):  # more than are kept
            tracer.record(SpanName.PHOTO, "5" * 32, 0.0, 1.0)
        assert time.monotonic() - started_at[1] < 5 + 3 * (time.thread_time() - started_at[0])
        wait_until(lambda: "Spans cannot be sent" in caplog.text)
        tracer.record(SpanName.PHOTO, "5" * 32, 0.0, 1.0)
        closed_at = time.monotonic()
        tracer.close()
        assert time.monotonic() - closed_at < FLUSH_TIMEOUT_SECONDS + 10
    [message] = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert message.startswith("Spans cannot be sent to the collector")
