"""Who knows the passcode gets in; who guesses is locked out."""

import pytest

from display.console.sessions import FIRST_LOCK, LAST_LOCK, SESSION, TRIES, TRIES_OF_ALL, Guard

RIGHT = "open sesame"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> Guard:
    return Guard(RIGHT, clock)


def test_the_right_passcode_opens_a_session_that_ends_by_itself(guard: Guard, clock: Clock) -> None:
    session = guard.enter(RIGHT, "a")
    assert session
    assert guard.knows(session)
    assert not guard.knows(session + "x")
    assert not guard.knows(None)
    clock.now += SESSION
    assert not guard.knows(session)


def test_who_locks_the_console_is_out(guard: Guard) -> None:
    session = guard.enter(RIGHT, "a")
    assert session
    guard.leave(session)
    assert not guard.knows(session)


def test_without_a_passcode_nobody_gets_in(clock: Clock) -> None:
    guard = Guard("", clock)
    assert not guard.open
    assert guard.enter("", "a") is None


def test_who_guesses_is_locked_out_for_longer_each_time(guard: Guard, clock: Clock) -> None:
    wait = FIRST_LOCK
    for _ in range(3):
        for _ in range(TRIES):
            assert guard.enter("guess", "a") is None
        assert guard.locked("a") == wait
        assert guard.enter(RIGHT, "a") is None  # not even the right one, or the lock would tell it
        assert guard.enter(RIGHT, "b")  # the operator is elsewhere
        clock.now += wait
        wait = min(2 * wait, LAST_LOCK)
    assert guard.enter(RIGHT, "a")


def test_many_addresses_that_guess_together_are_locked_out_together(guard: Guard) -> None:
    session = guard.enter(RIGHT, "operator")
    for number in range(TRIES_OF_ALL):
        guard.enter("guess", f"address-{number}")
    assert guard.locked("operator") == FIRST_LOCK
    assert guard.knows(session)  # who is in stays in


@pytest.mark.parametrize("passcode", ["", "open", RIGHT + "!", "ö\udcff".encode("utf-8", "replace").decode()])
def test_only_the_whole_passcode_counts(guard: Guard, passcode: str) -> None:
    assert guard.enter(passcode, "a") is None
