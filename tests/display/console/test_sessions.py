"""Console sessions: opened by the passcode; repeated wrong passcodes lock the address out."""

import pytest

from display.console.sessions import (
    MAX_FAILURES_IN_TOTAL,
    MAX_FAILURES_PER_ADDRESS,
    MAX_LOCKOUT_SECONDS,
    MIN_LOCKOUT_SECONDS,
    SESSION_LIFETIME_SECONDS,
    ConsoleSessions,
)

PASSCODE = "open sesame"


class FakeClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sessions(clock: FakeClock) -> ConsoleSessions:
    return ConsoleSessions(PASSCODE, clock)


def test_the_right_passcode_opens_a_session_that_ends_by_itself(sessions: ConsoleSessions, clock: FakeClock) -> None:
    session = sessions.log_in(PASSCODE, "a")
    assert session
    assert sessions.is_valid(session)
    assert not sessions.is_valid(session + "x")
    assert not sessions.is_valid(None)
    clock.now += SESSION_LIFETIME_SECONDS
    assert not sessions.is_valid(session)


def test_who_locks_the_console_is_out(sessions: ConsoleSessions) -> None:
    session = sessions.log_in(PASSCODE, "a")
    assert session
    sessions.log_out(session)
    assert not sessions.is_valid(session)


def test_without_a_passcode_nobody_gets_in(clock: FakeClock) -> None:
    sessions = ConsoleSessions("", clock)
    assert not sessions.is_enabled
    assert sessions.log_in("", "a") is None


def test_who_guesses_is_locked_out_for_longer_each_time(sessions: ConsoleSessions, clock: FakeClock) -> None:
    lockout_seconds = MIN_LOCKOUT_SECONDS
    for _ in range(3):
        for _ in range(MAX_FAILURES_PER_ADDRESS):
            assert sessions.log_in("guess", "a") is None
        assert sessions.get_lockout_seconds("a") == lockout_seconds
        assert sessions.log_in(PASSCODE, "a") is None  # also rejected, or the lockout would reveal the passcode
        assert sessions.log_in(PASSCODE, "b")  # another address is not locked out
        clock.now += lockout_seconds
        lockout_seconds = min(2 * lockout_seconds, MAX_LOCKOUT_SECONDS)
    assert sessions.log_in(PASSCODE, "a")


def test_many_addresses_that_guess_together_are_locked_out_together(sessions: ConsoleSessions) -> None:
    session = sessions.log_in(PASSCODE, "operator")
    for number in range(MAX_FAILURES_IN_TOTAL):
        sessions.log_in("guess", f"address-{number}")
    assert sessions.get_lockout_seconds("operator") == MIN_LOCKOUT_SECONDS
    assert sessions.is_valid(session)  # open sessions stay valid


@pytest.mark.parametrize("passcode", ["", "open", PASSCODE + "!", "ö\udcff".encode("utf-8", "replace").decode()])
def test_only_the_whole_passcode_counts(sessions: ConsoleSessions, passcode: str) -> None:
    assert sessions.log_in(passcode, "a") is None
