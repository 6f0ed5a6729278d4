"""The retry order: photos go out in order, and one that the store refuses keeps no other back."""

from collections.abc import Collection
from types import SimpleNamespace

import pytest

from producer.outbox import retry_order
from producer.outbox.outbox import PhotoUpload
from producer.outbox.retry_order import RetryOrder


class Outbox:
    """Numbers of rows, and a clock that continues when an attempt failed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.numbers, self.seconds = [*range(1, count + 1)], 0.0
        self.order = RetryOrder(attempts_in_order=3, initial_delay_seconds=1.0, max_delay_seconds=4.0)
        monkeypatch.setattr(retry_order, "time", SimpleNamespace(monotonic=lambda: self.seconds))

    def find_row(self, after: int) -> PhotoUpload | None:
        return next((PhotoUpload(number, "") for number in self.numbers if number > after), None)

    def attempt(self, count: int, *, refused: Collection[int] = ()) -> list[int]:
        """Make some attempts, of which those at the refused numbers fail. Returns the numbers; 0 if none was due."""
        tried = []
        for _ in range(count):
            row = self.order.find_next(self.find_row)
            tried.append(row.number if row else 0)
            if row is None:
                self.seconds += 1.0
            elif row.number in refused:
                self.order.note_failure(row.number)
                self.seconds += self.order.delay_seconds
            else:
                self.order.note_success(row.number, is_evidence=True)
                self.numbers.remove(row.number)
        return tried


ALL = range(100)


def test_without_failures_rows_go_out_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Outbox(monkeypatch, 3).attempt(4) == [1, 2, 3, 0]


def test_after_a_short_outage_rows_go_out_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(monkeypatch, 3)
    assert outbox.attempt(2, refused=ALL) == [1, 1]
    assert outbox.attempt(3) == [1, 2, 3]


def test_in_a_long_outage_rows_take_turns_and_then_go_out_in_order_after_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outbox = Outbox(monkeypatch, 3)
    assert outbox.attempt(7, refused=ALL) == [1, 1, 1, 2, 3, 1, 2]
    assert outbox.seconds == 1 + 2 + 5 * 4
    assert outbox.attempt(3) == [3, 1, 2]


def test_a_refused_row_is_tried_less_and_less_often_while_the_others_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with attempts at the first row alone."""
    outbox = Outbox(monkeypatch, 4)
    assert outbox.attempt(9, refused=[1]) == [1, 1, 1, 2, 1, 1, 3, 4, 0]
    started_at = outbox.seconds
    attempts = outbox.attempt(3600, refused=[1])
    assert outbox.seconds - started_at >= 3600 - attempts.count(1)
    assert 3600 / 62 < attempts.count(1) < 3600 / 60 + 10
    outbox.numbers.append(5)
    assert 5 in outbox.attempt(2, refused=[1])
    outbox.seconds += 60
    assert outbox.attempt(2) == [1, 0]


def test_several_refused_rows_keep_no_other_back(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(monkeypatch, 6)
    outbox.attempt(30, refused=[1, 2, 3])
    assert outbox.numbers == [1, 2, 3]
    outbox.seconds += 60
    assert outbox.attempt(3) == [1, 2, 3]


def test_a_row_that_is_left_out_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(monkeypatch, 3)
    outbox.attempt(4, refused=ALL)
    outbox.order.leave_out(2)
    assert outbox.attempt(3) == [3, 1, 0]


def test_success_without_evidence_makes_no_failed_row_a_refused_one(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(monkeypatch, 2)
    outbox.attempt(3, refused=ALL)
    outbox.order.note_success(2, is_evidence=False)
    outbox.numbers.remove(2)
    assert outbox.order.is_failing
    assert outbox.order.note_failure(1) == 0
    outbox.order.note_success(1, is_evidence=False)
    assert (outbox.order.is_failing, outbox.order.delay_seconds) == (False, 0)


def test_failures_are_counted_once_another_row_succeeded(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(monkeypatch, 2)
    assert [outbox.order.note_failure(1) for _ in range(3)] == [0, 0, 0]
    outbox.order.note_success(2, is_evidence=True)
    assert [outbox.order.note_failure(1) for _ in range(2)] == [1, 2]
    assert not outbox.order.is_failing
