"""A trace includes the screens: when a dream was sent to them, and when each had painted it."""

from collections.abc import Callable
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page

from display.state.dream_traces import MAX_PAINT_REPORTS, DreamTraces
from shared.jobs.events import EventReader
from shared.monitoring.tracing import SpanName
from shared.settings import Settings
from tests.display.conftest import DisplayProcess
from tests.display.fake_pipeline import FakePipeline
from tests.otlp_receiver import OtlpReceiver
from tests.waiting import wait_until


@pytest.fixture
def display_settings(display_settings: Settings, receiver: OtlpReceiver) -> Settings:
    return display_settings.model_copy(update={"tracing": True})


def report_paint(display: DisplayProcess, job_id: str, origin: str | None = None) -> int:
    """Report as a program would that a dream was painted; return the status."""
    headers = {"Origin": origin} if origin else {}
    try:
        with urlopen(Request(f"{display.url}/painted/{job_id}", b"", headers)) as response:
            return int(response.status)
    except HTTPError as error:
        error.close()
        return error.code


@pytest.mark.slow
def test_each_wall_that_paints_a_dream_adds_a_span_and_one_that_is_opened_later_does_not(
    open_wall: Callable[..., Page], pipeline: FakePipeline, display: DisplayProcess, receiver: OtlpReceiver
) -> None:
    earlier = pipeline.add_dream((1, 2, 3))
    walls = [open_wall(), open_wall()]
    job = pipeline.add_dream((200, 40, 40))
    wait_until(lambda: [span.name for span in receiver.spans].count(SpanName.PAINT) == len(walls))
    later = open_wall()
    later.wait_for_selector(f'img[data-dream][data-job-id="{job.id}"][data-shown-at]')
    assert report_paint(display, job.id) == 404, "no page of the display asks"
    assert report_paint(display, job.id, "http://elsewhere.example") == 404
    assert report_paint(display, earlier.id[::-1], display.url) == 404, "no dream was shown just now"
    assert report_paint(display, job.id, display.url) == 204
    wait_until(lambda: [span.name for span in receiver.spans].count(SpanName.PAINT) > len(walls))
    spans = [span for span in receiver.spans if span.trace_id == job.id]
    [show] = [span for span in spans if span.name == SpanName.SHOW]
    paints = [span for span in spans if span.name == SpanName.PAINT]
    assert len(paints) == len(walls) + 1
    for paint in paints:
        assert paint.started_at == pytest.approx(show.started_at, abs=0.01)
        assert paint.ended_at >= show.ended_at
        assert paint.parent_id == show.parent_id
    assert {span.trace_id for span in receiver.spans if span.name == SpanName.PAINT} == {job.id}


def test_a_script_that_reports_again_and_again_fills_no_trace(
    display_settings: Settings, pipeline: FakePipeline, receiver: OtlpReceiver
) -> None:
    job = pipeline.add_dream((200, 40, 40))
    traces = DreamTraces(display_settings)
    for recorded in EventReader(pipeline.client).read():
        traces.record_show(recorded, 0.0)
    reported = [traces.record_paint(job.id) for _ in range(MAX_PAINT_REPORTS + 5)]
    traces.close()
    assert reported.count(True) == MAX_PAINT_REPORTS
    assert [span.name for span in receiver.spans].count(SpanName.PAINT) == MAX_PAINT_REPORTS
