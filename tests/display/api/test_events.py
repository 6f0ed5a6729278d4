"""Programs follow the events of their jobs, and resume where they left off."""

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple, cast

import pytest

from display.api.events import MAX_STREAMS_PER_KEY
from display.state.event_hub import MAX_QUEUED_EVENTS
from shared.api.keys import ApiKeys, Scope
from shared.api.resources import API_PATH
from shared.jobs.events import EventLog, FileRejected
from shared.redis_keys import STREAM
from shared.settings import Settings
from tests.display.api.conftest import MakeProgram, Program, list_uploads
from tests.display.api.test_jobs import submit
from tests.display.fake_pipeline import FakePipeline, make_circle_jpeg
from tests.waiting import wait_until


class StreamEvent(NamedTuple):
    """An event as it arrives."""

    kind: str
    id: str
    body: Any


class EventStream:
    """A stream that a program reads."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.response = response

    def read(self) -> StreamEvent:
        """Return the next event that is no heartbeat."""
        while True:
            fields = dict[str, str]()
            while line := self.response.readline().decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                fields[name] = value
            if not fields:
                raise EOFError
            if fields["event"] != "heartbeat":
                return StreamEvent(fields["event"], fields["id"], json.loads(fields["data"]))

    def read_states(self, count: int) -> list[tuple[str, str]]:
        """Return job and state of the next events."""
        return [(event.body["id"], event.body["state"]) for event in (self.read() for _ in range(count))]


@contextmanager
def open_stream(program: Program, last_id: str = "") -> Iterator[EventStream]:
    """Open the stream of a program, whose first event must say that it is connected."""
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=60)
    headers = {"Authorization": f"Bearer {program.key}"} | ({"Last-Event-ID": last_id} if last_id else {})
    connection.request("GET", f"{API_PATH}/events", headers=headers)
    response = connection.getresponse()
    try:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        stream = EventStream(response)
        assert stream.read().kind == "connected"
        yield stream
    finally:
        response.close()
        connection.close()


def test_a_program_sees_what_happens_to_its_own_jobs_and_nothing_else(
    make_program: MakeProgram, pipeline: FakePipeline
) -> None:
    program, other = make_program(), make_program()
    with open_stream(program) as stream, open_stream(make_program(Scope.READ, Scope.ALL)) as all_jobs:
        foreign = submit(other, pipeline, 1)
        pipeline.publish_frame(pipeline.claim_job(foreign), 0)
        pipeline.add_dream((5, 5, 5))
        job = submit(program, pipeline, 2)
        claim = pipeline.claim_job(job)
        pipeline.publish_frame(claim, 3)
        pipeline.complete_job(claim)
        events = [stream.read() for _ in range(4)]
        assert {event.kind for event in events} == {"job"}
        assert {event.body["id"] for event in events} == {job.id}
        assert [(event.body["state"], event.body.get("fraction")) for event in events] == [
            *(("queued", None), ("started", None), ("started", 0.8), ("completed", None))
        ]
        # The display knows by then what its event says.
        assert program.call("GET", f"/jobs/{job.id}").json["links"]
        assert {job_id for job_id, _ in all_jobs.read_states(7)} == {foreign.id, job.id}


def test_a_program_that_comes_back_gets_what_it_missed_once_and_in_order(
    make_program: MakeProgram, pipeline: FakePipeline
) -> None:
    program = make_program()
    with open_stream(program) as stream:
        job = submit(program, pipeline, 3)
        queued = stream.read()
    claim = pipeline.claim_job(job)
    for number in range(1, 3):
        pipeline.announce_frame(claim, pipeline.publish_frame(claim, number), number / 100)
    pipeline.add_dream((6, 6, 6))
    with open_stream(program, queued.id) as stream:
        missed = [stream.read() for _ in range(5)]
        pipeline.complete_job(claim)
        last = stream.read()
    assert [event.body.get("fraction") for event in missed] == [None, 0.4, 0.01, 0.6, 0.02]
    assert last.body["state"] == "completed"
    ids = [tuple(map(int, event.id.split("-"))) for event in (queued, *missed, last)]
    assert ids == sorted(set(ids))
    with open_stream(program, missed[-2].id) as stream:
        assert [stream.read() for _ in range(2)] == [missed[-1], last]


def test_a_gap_is_told(make_program: MakeProgram, pipeline: FakePipeline) -> None:
    program = make_program()
    job = submit(program, pipeline, 4)
    with open_stream(program, "1-0") as stream:  # older than all that the broker has
        assert stream.read().kind == "gap"
        assert stream.read_states(1) == [(job.id, "queued")]
    with open_stream(program, "99999999999999-0") as stream:  # of a broker that was wiped
        assert stream.read().kind == "gap"
        pipeline.claim_job(job)
        assert stream.read_states(1) == [(job.id, "started")]
    with open_stream(program, "0-0") as stream:  # from the beginning
        assert stream.read_states(2) == [(job.id, "queued"), (job.id, "started")]
    answer = program.call("GET", "/events", Last_Event_ID="yesterday")
    assert (answer.status, answer.problem) == (422, "invalid-request")


def test_a_refused_photo_is_told(program: Program, pipeline: FakePipeline, api_settings: Settings) -> None:
    with open_stream(program) as stream:
        job_id = program.submit(make_circle_jpeg((50, 1, 1))).json["id"]
        [path] = [path for path in list_uploads(api_settings) if job_id in path.name]
        EventLog(pipeline.client).append(FileRejected(file=path.name, reason="is damaged"))
        event = stream.read()
    assert (event.body["id"], event.body["state"], event.body["reason"]) == (job_id, "refused", "is damaged")


@pytest.mark.slow  # ten thousand events
def test_one_who_does_not_read_delays_nobody_and_resumes_later(
    make_program: MakeProgram, pipeline: FakePipeline
) -> None:
    program = make_program()
    job = submit(program, pipeline, 5)
    wait_until(lambda: program.call("GET", f"/jobs/{job.id}").json["ahead"] is not None, "the display knows the job")
    pipeline.claim_job(job)
    count = 5 * MAX_QUEUED_EVENTS  # more than the queue and the sockets hold
    with open_stream(program) as asleep:
        [(_, fields)] = cast("list[tuple[str, dict[Any, Any]]]", pipeline.client.xrevrange(STREAM, count=1))
        pipe = pipeline.client.pipeline()
        for _ in range(count):
            pipe.xadd(STREAM, fields)
        pipe.execute()
        other = submit(program, pipeline, 60)
        wait_until(lambda: program.call("GET", f"/jobs/{other.id}").json["ahead"] is not None, "the display goes on")
        events = list[StreamEvent]()
        with suppress(EOFError):  # it was dropped, at the latest after the last event
            while True:
                events.append(asleep.read())
                if events[-1].body["id"] == other.id:
                    break
    while events[-1].body["id"] != other.id:
        with open_stream(program, events[-1].id) as stream, suppress(EOFError):
            while events[-1].body["id"] != other.id:
                events.append(stream.read())
    assert {event.kind for event in events} == {"job"}
    ids = [event.id for event in events]
    assert len(set(ids)) == len(ids) >= count


@pytest.mark.slow  # a key is checked every ten seconds
def test_the_stream_of_a_revoked_key_ends_and_no_other(make_program: MakeProgram, pipeline: FakePipeline) -> None:
    revoked, valid = make_program(), make_program()
    with open_stream(revoked) as ending, open_stream(valid) as stream:
        ApiKeys(pipeline.client, pipeline.store).revoke(revoked.key.split("_")[1])
        with pytest.raises(EOFError):
            ending.read()
        job = submit(valid, pipeline, 80)
        assert stream.read_states(1) == [(job.id, "queued")]


def test_a_key_has_so_many_streams_and_gets_back_those_that_it_closes(make_program: MakeProgram) -> None:
    program = make_program()
    with ExitStack() as stack:
        for _ in range(MAX_STREAMS_PER_KEY):
            stack.enter_context(open_stream(program))
        refused = program.call("GET", "/events")
        assert (refused.status, refused.problem) == (429, "too-many-streams")
        assert refused.headers["Retry-After"] == "10"

    def is_open() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=60)
        connection.request("GET", f"{API_PATH}/events", headers={"Authorization": f"Bearer {program.key}"})
        response = connection.getresponse()
        response.close()
        connection.close()
        return response.status == 200

    wait_until(is_open, "the display has noticed that they are closed")
