"""Retry order: which row of the outbox is tried next, so that one that always fails keeps no other back."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from producer.outbox.outbox import OutboxItem, PhotoUpload

#: Seconds until a row that fails while others succeed is tried again, at most. Each attempt delays the others.
MAX_REFUSED_DELAY_SECONDS = 60.0

Row = TypeVar("Row", OutboxItem, PhotoUpload)


@dataclass
class _Refusal:
    #: Failed attempts since another row succeeded.
    attempts: int = 0
    #: Seconds between the last attempt and the next one, and monotonic time of that.
    delay_seconds: float = 0.0
    due_at: float = 0.0


class RetryOrder:
    """The order in which rows of one kind are tried.

    In an outage all rows fail, and the first is tried until it succeeds, so the order stays. If that takes long, the
    others take turns with it: the first may be the only one that fails. Once one succeeds, those that failed before are
    tried at once, in order. A row that fails even then is refused: it is tried again later and later, between others.
    """

    def __init__(self, *, attempts_in_order: int, initial_delay_seconds: float, max_delay_seconds: float) -> None:
        """Start without failures.

        attempts_in_order: before rows take turns. initial_delay_seconds, max_delay_seconds: between two attempts,
        doubled from the first to the last.
        """
        self._attempts_in_order = attempts_in_order
        self._initial_delay_seconds, self._max_delay_seconds = initial_delay_seconds, max_delay_seconds
        #: Seconds to wait after the last attempt; 0 if it succeeded.
        self.delay_seconds = 0.0
        #: Numbers of the rows that failed since one succeeded, without those that are refused.
        self._failed = set[int]()
        self._failed_attempts = self._last_failed = 0
        self._refusals: dict[int, _Refusal] = {}
        self._left_out = set[int]()

    @property
    def is_failing(self) -> bool:
        """Whether none has succeeded since a row failed that is not refused."""
        return bool(self._failed)

    def find_next(self, find_row: Callable[[int], Row | None]) -> Row | None:
        """Return the row that is to be tried next; None if none is due.

        find_row: returns the first row whose number is greater than its argument, None if there is none.
        """
        takes_turns = self._failed_attempts >= self._attempts_in_order
        for after in (self._last_failed, 0) if takes_turns else (0,):
            row = find_row(after)
            while row and not self._is_due(row.number):
                row = find_row(row.number)
            if row:
                return row
        return None

    def leave_out(self, number: int) -> None:
        """Let a row never be due."""
        self._left_out.add(number)
        self._failed.discard(number)

    def note_success(self, number: int, *, is_evidence: bool) -> None:
        """Note that a row succeeded. is_evidence: whether those that failed might have succeeded then, too."""
        self._refusals.pop(number, None)
        self._failed.discard(number)
        if is_evidence:
            self._refusals |= {failed: _Refusal() for failed in self._failed}
            self._failed.clear()
        if not self._failed:
            self._failed_attempts, self.delay_seconds = 0, 0.0

    def note_failure(self, number: int) -> int:
        """Note that a row failed. Returns how often it failed since another one succeeded; 0 if none has."""
        if refusal := self._refusals.get(number):
            self.delay_seconds = max(self.delay_seconds, self._initial_delay_seconds)
            refusal.attempts += 1
            refusal.delay_seconds = self._grow(refusal.delay_seconds, MAX_REFUSED_DELAY_SECONDS)
            refusal.due_at = time.monotonic() + refusal.delay_seconds
            return refusal.attempts
        self.delay_seconds = self._grow(self.delay_seconds, self._max_delay_seconds)
        self._failed.add(number)
        self._failed_attempts, self._last_failed = self._failed_attempts + 1, number
        return 0

    def _grow(self, delay_seconds: float, max_delay_seconds: float) -> float:
        return max(self._initial_delay_seconds, min(2 * delay_seconds, max_delay_seconds))

    def _is_due(self, number: int) -> bool:
        refusal = self._refusals.get(number)
        return number not in self._left_out and (refusal is None or time.monotonic() >= refusal.due_at)
