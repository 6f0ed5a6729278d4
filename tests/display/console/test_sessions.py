"""Who knows the passcode gets in; who guesses is locked out."""

import pytest

from display.console.sessions import (
    MAX_FAILURES_IN_TOTAL,
    MAX_FAILURES_PER_ADDRESS,
    MAX_LOCKOUT_SECONDS,
    MIN_LOCKOUT_SECONDS,
    SESSION_LIFETIME_SECONDS,
    ConsoleSessions,
)

RIGHT = "open sesame"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> ConsoleSessions:
    return ConsoleSessions(RIGHT, clock)


def test_the_right_passcode_opens_a_session_that_ends_by_itself(guard: ConsoleSessions, clock: Clock) -> None:
    session = guard.log_in(RIGHT, "a")
    assert session
    assert guard.is_valid(session)
    assert not guard.is_valid(session + "x")
    assert not guard.is_valid(None)
    clock.now += SESSION_LIFETIME_SECONDS
    assert not guard.is_valid(session)


def test_who_locks_the_console_is_out(guard: ConsoleSessions) -> None:
    session = guard.log_in(RIGHT, "a")
    assert session
    guard.log_out(session)
    assert not guard.is_valid(session)


def test_without_a_passcode_nobody_gets_in(clock: Clock) -> None:
    guard = ConsoleSessions("", clock)
    assert not guard.is_enabled
    assert guard.log_in("", "a") is None


def test_who_guesses_is_locked_out_for_longer_each_time(guard: ConsoleSessions, clock: Clock) -> None:
    wait = MIN_LOCKOUT_SECONDS
    for _ in range(3):
        for _ in range(MAX_FAILURES_PER_ADDRESS):
            assert guard.log_in("guess", "a") is None
        assert guard.get_lockout_seconds("a") == wait
        assert guard.log_in(RIGHT, "a") is None  # not even the right one, or the lock would tell it
        assert guard.log_in(RIGHT, "b")  # the operator is elsewhere
        clock.now += wait
        wait = min(2 * wait, MAX_LOCKOUT_SECONDS)
    assert guard.log_in(RIGHT, "a")


def test_many_addresses_that_guess_together_are_locked_out_together(guard: ConsoleSessions) -> None:
    session = guard.log_in(RIGHT, "operator")
    for number in range(MAX_FAILURES_IN_TOTAL):
        guard.log_in("guess", f"address-{number}")
    assert guard.get_lockout_seconds("operator") == MIN_LOCKOUT_SECONDS
    assert guard.is_valid(session)  # who is in stays in


@pytest.mark.parametrize("passcode", ["", "open", RIGHT + "!", "ö\udcff".encode("utf-8", "replace").decode()])
def test_only_the_whole_passcode_counts(guard: ConsoleSessions, passcode: str) -> None:
    assert guard.log_in(passcode, "a") is None
