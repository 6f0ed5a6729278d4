"""Events outlive their readers: each reader resumes at its position, and invalid entries are skipped."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from shared.broker.client import connect
from shared.jobs import events
from shared.jobs.events import STREAM_START_ID, EventLog, EventReader, FileRejected, parse_entry
from shared.jobs.refusal import RefusalCause
from shared.redis_keys import STREAM
from tests.waiting import wait_until


def make_refused(name: str) -> FileRejected:
    return FileRejected(file=name, reason="is empty")


def read_file_names(reader: EventReader) -> list[str]:
    return [recorded.event.file for recorded in reader.read() if isinstance(recorded.event, FileRejected)]


def test_a_reader_resumes_from_the_last_event_it_saw(client: redis.Redis) -> None:
    log, reader = EventLog(client), EventReader(client)
    log.append(make_refused("a"))
    assert read_file_names(reader) == ["a"]
    log.append(make_refused("b"))
    log.append(make_refused("c"))
    later = EventReader(client, reader.position)
    assert read_file_names(later) == ["b", "c"]
    assert read_file_names(later) == []


def test_a_refusal_of_an_earlier_version_has_no_cause_and_that_of_a_later_one_an_unknown_cause() -> None:
    earlier = '{"version": 1, "type": "refused", "file": "a", "reason": "is empty"}'
    later = (
        '{"version": 1, "type": "refused", "file": "a", "reason": "r", "cause": {"code": "new", "values": {"n": 1}}}'
    )
    for text, cause in ((earlier, None), (later, RefusalCause("new", {"n": 1}))):
        recorded = parse_entry("1-0", {"event": text})
        assert recorded
        assert isinstance(recorded.event, FileRejected)
        assert recorded.event.cause == cause


def test_a_reader_may_start_with_what_happens_from_now_on(client: redis.Redis) -> None:
    log = EventLog(client)
    log.append(make_refused("before"))
    reader = EventReader(client, log.last_id())
    log.append(make_refused("after"))
    assert read_file_names(reader) == ["after"]


def test_before_the_first_event_a_reader_starts_at_the_beginning(client: redis.Redis) -> None:
    assert EventLog(client).last_id() == STREAM_START_ID


def test_the_oldest_events_are_forgotten(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker forgets a hundred at once."""
    monkeypatch.setattr(events, "STREAM_LENGTH", 1)
    log = EventLog(client)
    for number in range(201):
        log.append(make_refused(str(number)))
    assert client.xlen(STREAM) < 200


def test_what_is_no_event_of_a_known_version_is_passed_over(client: redis.Redis) -> None:
    reader = EventReader(client)
    for text in ("not json", '{"version": 2, "type": "refused", "file": "f", "reason": "r"}', '{"type": "unheard of"}'):
        client.xadd(STREAM, {"event": text})
    client.xadd(STREAM, {"other": "field"})
    EventLog(client).append(make_refused("good"))
    last = client.xadd(STREAM, {"event": "[]"})
    assert read_file_names(reader) == ["good"]
    assert reader.position == last


def test_a_reader_waits_for_an_event_and_not_longer(client: redis.Redis) -> None:
    assert EventReader(client).read(wait_seconds=0.05) == []


def test_a_reader_that_waits_has_an_event_as_soon_as_it_happens(client: redis.Redis, broker_url: str) -> None:
    with connect(broker_url) as waiting_client, ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(EventReader(waiting_client).read, wait_seconds=30)
        wait_until(lambda: client.info("clients")["blocked_clients"] or waiting.done(), "it waits")
        EventLog(client).append(make_refused("a"))
        assert [recorded.event for recorded in waiting.result()] == [make_refused("a")]


def test_a_reader_takes_so_many_events_at_a_time(client: redis.Redis) -> None:
    reader = EventReader(client)
    for name in "abc":
        EventLog(client).append(make_refused(name))
    read = [[recorded.event.file for recorded in reader.read(max_events=2)] for _ in range(3)]  # type: ignore[union-attr]
    assert read == [["a", "b"], ["c"], []]


def test_an_event_tells_when_it_happened_by_the_brokers_clock(client: redis.Redis) -> None:
    before = client.time()[0]
    EventLog(client).append(make_refused("a"))
    [recorded] = EventReader(client).read()
    assert before <= recorded.recorded_at <= client.time()[0] + 1


INVALID_EVENTS = {
    "a frame above the store": '{"type":"progress","job_id":"a","photo_id":"b","frame":"../../secret","fraction":0.5}',
    "a frame elsewhere": '{"type":"progress","job_id":"a","photo_id":"b","frame":"/etc/passwd","fraction":0.5}',
    "a job above the store": '{"type":"progress","job_id":"../a","photo_id":"b","frame":"x","fraction":0.5}',
    "a photo above the store": '{"type":"queued","job_id":"a","photo_id":"b/../c"}',
    "a control character": '{"type":"queued","job_id":"a\\u0000","photo_id":"b"}',
    "another version": '{"type":"queued","job_id":"a","photo_id":"b","version":2}',
    "a number for an id": '{"type":"queued","job_id":7,"photo_id":"b"}',
    "deeply nested": "[" * 100_000,
    "a number without end": "9" * 100_000,
    "invalid UTF-8": "\ufffd\ufffd",
}


@pytest.mark.parametrize("event_json", INVALID_EVENTS.values(), ids=INVALID_EVENTS)
def test_what_leads_out_of_the_store_or_is_no_event_is_passed_over(event_json: str) -> None:
    """Fails without the patterns: the display then reads from its store whatever an event names."""
    assert parse_entry("1-1", {"event": event_json}) is None
