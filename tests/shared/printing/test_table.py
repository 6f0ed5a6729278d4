"""The print table: limits hold whoever asks at the same time, and what did not come out counts to none."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from shared.broker.client import connect
from shared.printing.prints import AUTOMATIC, CONSOLE, Print, PrinterStatus, PrintState, parse_print, split_print_id
from shared.printing.table import PrintOutcome, PrintTable
from shared.redis_keys import job_key
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings

JOB_ID, OTHER_JOB_ID, GUEST = "a" * 32, "b" * 32, "0123456789abcdef"


@pytest.fixture
def prints(client: redis.Redis) -> PrintTable:
    return PrintTable(client)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"prints_per_guest": 3})


def request(prints: PrintTable, settings: Settings, requester: str = GUEST, **options: object) -> PrintOutcome:
    return prints.request(settings, **({"job_id": JOB_ID, "requester": requester, "event": 0.0} | options))  # type: ignore[arg-type]


def finish(prints: PrintTable, record: Print, state: PrintState) -> None:
    assert prints.change(record, state, allowed=list(PrintState))


def test_a_guest_who_asks_from_many_tabs_at_once_gets_no_more_than_the_limit(
    prints: PrintTable, settings: Settings
) -> None:
    def ask(number: int) -> PrintOutcome:
        with connect(settings.broker) as client:
            return request(PrintTable(client), settings, first=number)

    with ThreadPoolExecutor(12) as threads:
        outcomes = list(threads.map(ask, range(1, 25)))
    assert outcomes.count(PrintOutcome.ACCEPTED) == 3
    assert outcomes.count(PrintOutcome.GUEST_LIMIT) == 21
    assert len(prints.list_queue()) == prints.count_of_guest(GUEST, 0.0) == 3


def test_all_guests_and_the_installation_together_get_no_more_than_the_event_has(
    prints: PrintTable, settings: Settings, client: redis.Redis
) -> None:
    update_runtime_settings(client, prints_per_event=5)

    def ask(number: int) -> PrintOutcome:
        with connect(settings.broker) as own:
            requester = AUTOMATIC if number % 2 else f"{number:016x}"
            return request(PrintTable(own), settings, requester, job_id=f"{number:032x}")

    with ThreadPoolExecutor(12) as threads:
        outcomes = list(threads.map(ask, range(24)))
    assert outcomes.count(PrintOutcome.ACCEPTED) == 5
    assert outcomes.count(PrintOutcome.EVENT_LIMIT) == 19
    assert request(prints, settings, CONSOLE) is PrintOutcome.ACCEPTED, "the operator decides"
    assert prints.count(0.0).accepted == 6


def test_an_order_is_accepted_as_a_whole_or_not_at_all(prints: PrintTable, settings: Settings) -> None:
    assert request(prints, settings, copies=4) is PrintOutcome.GUEST_LIMIT
    assert prints.list_queue() == []
    assert request(prints, settings, copies=3) is PrintOutcome.ACCEPTED
    assert request(prints, settings, copies=3) is PrintOutcome.ACCEPTED, "the same order again"
    assert [record.field for record in prints.list_queue()] == [f"{GUEST}-{number}" for number in (1, 2, 3)]


def test_prints_that_were_accepted_stay_accepted_though_the_limits_are_lowered(
    prints: PrintTable, settings: Settings, client: redis.Redis
) -> None:
    """Seen failing with the limit of guests: the same request again was answered “guest_limit”."""
    assert request(prints, settings, copies=2) is PrintOutcome.ACCEPTED
    update_runtime_settings(client, prints_per_guest=1, prints_per_event=1)
    assert request(prints, settings, copies=2) is PrintOutcome.ACCEPTED
    assert request(prints, settings, first=3) is PrintOutcome.GUEST_LIMIT
    assert len(prints.list_queue()) == 2


@pytest.mark.parametrize("state", [PrintState.FAILED, PrintState.CANCELLED])
def test_what_did_not_come_out_counts_to_no_limit_until_it_is_repeated(
    prints: PrintTable, settings: Settings, state: PrintState
) -> None:
    assert request(prints, settings, copies=3) is PrintOutcome.ACCEPTED
    record = prints.list_of_dream(JOB_ID)[0]
    finish(prints, record, state)
    assert prints.count_of_guest(GUEST, 0.0) == 2
    assert request(prints, settings, first=4) is PrintOutcome.ACCEPTED
    repeated = prints.retry(record)
    assert repeated
    assert (repeated.state, repeated.attempt, repeated.server_job) == (PrintState.REQUESTED, 2, 0)
    assert prints.retry(record) is None, "it is under way"
    assert prints.count_of_guest(GUEST, 0.0) == 4


def test_a_new_event_begins_with_new_limits(prints: PrintTable, settings: Settings) -> None:
    assert request(prints, settings, copies=3) is PrintOutcome.ACCEPTED
    assert request(prints, settings, first=4) is PrintOutcome.GUEST_LIMIT
    assert request(prints, settings, first=4, event=1000.0) is PrintOutcome.ACCEPTED
    assert prints.count(1000.0).accepted == 1


@pytest.mark.parametrize("fields", [{"held": "1"}, {"state": "deleted"}])
def test_nothing_is_accepted_of_a_dream_that_guests_may_not_see(
    prints: PrintTable, settings: Settings, client: redis.Redis, fields: dict[Any, Any]
) -> None:
    client.hset(job_key(JOB_ID), mapping=fields)
    for requester in (GUEST, AUTOMATIC, CONSOLE):
        assert request(prints, settings, requester) is PrintOutcome.HIDDEN
    assert prints.list_queue() == []


def test_a_print_is_cancelled_at_once_or_marked_for_the_agent(prints: PrintTable, settings: Settings) -> None:
    request(prints, settings, copies=3)
    waiting, sent, printed = prints.list_queue()
    assert prints.change(sent, PrintState.SUBMITTED, allowed=[PrintState.REQUESTED], server_job=7)
    finish(prints, printed, PrintState.PRINTED)
    cancelled, marked = prints.cancel(waiting, "why"), prints.cancel(sent, "why")
    assert cancelled
    assert (cancelled.state, cancelled.reason) == (PrintState.CANCELLED, "why")
    assert marked
    assert (marked.state, marked.is_unwanted, marked.server_job) == (PrintState.SUBMITTED, True, 7)
    assert prints.cancel(printed, "too late") is None
    assert [record.id for record in prints.list_queue()] == [sent.id]
    assert [record.id for record in prints.list_finished(10)] == [waiting.id, printed.id]


def test_a_change_from_a_state_that_has_passed_changes_nothing(prints: PrintTable, settings: Settings) -> None:
    request(prints, settings)
    [record] = prints.list_queue()
    finish(prints, record, PrintState.CANCELLED)
    assert prints.change(record, PrintState.SUBMITTING, allowed=[PrintState.REQUESTED]) is None
    assert prints.list_queue() == []


def test_a_restored_print_is_as_it_was_and_is_restored_once(prints: PrintTable) -> None:
    unfinished = Print(job_id=JOB_ID, requester=GUEST, number=1, requested_at=2.5)
    printed = unfinished.model_copy(update={"number": 2, "state": PrintState.PRINTED, "changed_at": 3.25})
    failed = unfinished.model_copy(update={"job_id": OTHER_JOB_ID, "state": PrintState.FAILED, "reason": "“Ö”"})
    for record in (unfinished, printed, failed):
        assert prints.restore(record)
        assert not prints.restore(record)
        assert prints.get(record.id) == record
    assert prints.list_queue() == [unfinished]
    assert prints.list_finished(10) == [printed, failed]
    assert prints.count(0.0) == (2, 1)


def test_a_record_of_another_version_and_a_foreign_id_are_left_alone(client: redis.Redis, prints: PrintTable) -> None:
    client.hset(f"artdream:prints:{JOB_ID}", f"{GUEST}-1", '{"version": 9}')
    assert prints.list_of_dream(JOB_ID) == []
    assert parse_print("no JSON") is parse_print(None) is None
    assert PrinterStatus.parse("{}") is None
    for text in ("", "x", f"{JOB_ID}-{GUEST}-0", f"{JOB_ID}-../..-1", f"{JOB_ID}-{GUEST}-1\n"):
        with pytest.raises(ValueError, match="no print's id"):
            split_print_id(text)


def test_one_agent_has_the_lease_until_it_ends_or_leaves(prints: PrintTable) -> None:
    assert prints.take_lease("mac:a", 60)
    assert not prints.take_lease("mac:b", 60)
    assert prints.take_lease("mac:a", 60)
    prints.drop_lease("mac:b")
    assert not prints.take_lease("mac:b", 60)
    prints.drop_lease("mac:a")
    assert prints.take_lease("mac:b", 60)
