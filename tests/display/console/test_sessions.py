"""Console sessions: opened by the passcode; repeated wrong passcodes lock the address out."""

import pytest

from display.console.sessions import (
    MAX_FAILURES_IN_TOTAL,
    MAX_FAILURES_PER_ADDRESS,
    MAX_LOCKOUT_SECONDS,
    MIN_LOCKOUT_SECONDS,
    SESSION_LIFETIME_SECONDS,
    SHARED_ATTEMPT_INTERVAL_SECONDS,
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


def guess_from_many_addresses(sessions: ConsoleSessions, clock: FakeClock) -> float:
    """Guess until all addresses are locked out; return the seconds that lasts."""
    for number in range(MAX_FAILURES_IN_TOTAL):
        while wait := sessions.get_lockout_seconds(f"address-{number}"):
            clock.now += wait
        sessions.log_in("guess", f"address-{number}")
    return sessions._failures["*"].locked_until - clock.now


def test_many_addresses_that_guess_together_are_locked_out_together(
    sessions: ConsoleSessions, clock: FakeClock
) -> None:
    session = sessions.log_in(PASSCODE, "operator")
    assert guess_from_many_addresses(sessions, clock) == MIN_LOCKOUT_SECONDS
    assert sessions.get_lockout_seconds("another") == SHARED_ATTEMPT_INTERVAL_SECONDS
    assert sessions.log_in(PASSCODE, "another") is None
    assert sessions.is_valid(session)  # open sessions stay valid


def test_who_knows_the_passcode_gets_in_while_others_guess(sessions: ConsoleSessions, clock: FakeClock) -> None:
    """Seen failing: for up to an hour nobody could open the console, whatever they knew."""
    guess_from_many_addresses(sessions, clock)
    assert sessions.log_in(PASSCODE, "127.0.0.1")
    guess_from_many_addresses(sessions, clock)
    clock.now += SHARED_ATTEMPT_INTERVAL_SECONDS
    assert sessions.log_in(PASSCODE, "operator")


def test_what_was_guessed_long_ago_locks_nobody_out_for_long(sessions: ConsoleSessions, clock: FakeClock) -> None:
    """Seen failing: a week later the next guesses locked everybody out for an hour again."""
    lockouts = [guess_from_many_addresses(sessions, clock) for _ in range(3)]
    assert lockouts == [MIN_LOCKOUT_SECONDS * 2**step for step in range(3)]
    clock.now += 7 * 24 * 3600
    assert guess_from_many_addresses(sessions, clock) == MIN_LOCKOUT_SECONDS


def test_the_addresses_that_one_phone_has_count_as_one(sessions: ConsoleSessions) -> None:
    for number in range(MAX_FAILURES_PER_ADDRESS):
        sessions.log_in("guess", f"2001:db8:0:1::{number:x}")
    assert sessions.get_lockout_seconds("2001:db8:0:1:ffff::1") == MIN_LOCKOUT_SECONDS
    assert sessions.get_lockout_seconds("2001:db8:0:2::1") == 0
    for number in range(MAX_FAILURES_PER_ADDRESS):
        sessions.log_in("guess", "::ffff:192.0.2.1" if number else "192.0.2.1")
    assert sessions.get_lockout_seconds("192.0.2.1") == MIN_LOCKOUT_SECONDS


@pytest.mark.parametrize("passcode", ["", "open", PASSCODE + "!", "ö\udcff".encode("utf-8", "replace").decode()])
def test_only_the_whole_passcode_counts(sessions: ConsoleSessions, passcode: str) -> None:
    assert sessions.log_in(passcode, "a") is None
