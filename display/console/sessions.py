"""The guard: lets the operator into the console, and nobody who guesses."""

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: The cookie that a session is known by.
SESSION_COOKIE = "artdream_console"

#: Seconds that a session lasts.
SESSION_LIFETIME_SECONDS = 12 * 3600

#: Wrong passcodes from one address, and from all together, before the next ones are not even looked at.
MAX_FAILURES_PER_ADDRESS, MAX_FAILURES_IN_TOTAL = 5, 50

#: Seconds that an address is locked out for the first time; doubled each time, up to the last.
MIN_LOCKOUT_SECONDS, MAX_LOCKOUT_SECONDS = 30.0, 3600.0

#: Addresses and sessions that are remembered.
MAX_TRACKED_ENTRIES = 1_000

_ALL_ADDRESSES = "*"


@dataclass
class _LoginFailures:
    failures: int = 0
    lockouts: int = 0
    locked_until: float = 0.0


class ConsoleSessions:
    """One display's sessions, in memory: a restart asks for the passcode again. May be used from several threads."""

    def __init__(self, passcode: str, clock: Callable[[], float] = time.monotonic) -> None:
        """passcode: "" where there is none, and then nobody is let in."""
        self._passcode = passcode.encode()
        self._clock = clock
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._failures: OrderedDict[str, _LoginFailures] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def is_enabled(self) -> bool:
        """Whether there is a console at all."""
        return bool(self._passcode)

    def get_lockout_seconds(self, address: str) -> float:
        """Return the seconds for which an address may not try."""
        with self._lock:
            return max(
                0.0, *(self._get_failures(one).locked_until - self._clock() for one in (address, _ALL_ADDRESSES))
            )

    def log_in(self, passcode: str, address: str) -> str | None:
        """Return a new session where the passcode is right, None where it is wrong or the address is locked out."""
        if not self.is_enabled or self.get_lockout_seconds(address):
            return None
        right = hmac.compare_digest(passcode.encode(), self._passcode)
        with self._lock:
            if not right:
                self._record_failure(address, MAX_FAILURES_PER_ADDRESS)
                self._record_failure(_ALL_ADDRESSES, MAX_FAILURES_IN_TOTAL)
                return None
            self._failures.pop(address, None)
            session = secrets.token_urlsafe(32)
            self._sessions[session] = self._clock() + SESSION_LIFETIME_SECONDS
            while len(self._sessions) > MAX_TRACKED_ENTRIES:
                self._sessions.popitem(last=False)
            return session

    def is_valid(self, session: str | None) -> bool:
        """Tell whether a session was begun here and has not ended."""
        with self._lock:
            return self._sessions.get(session or "", 0.0) > self._clock()

    def log_out(self, session: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(session, None)

    def _get_failures(self, address: str) -> _LoginFailures:
        return self._failures.get(address) or _LoginFailures()

    def _record_failure(self, address: str, max_failures: int) -> None:
        suspect = self._failures.setdefault(address, _LoginFailures())
        self._failures.move_to_end(address)
        suspect.failures += 1
        if suspect.failures >= max_failures:
            suspect.locked_until = self._clock() + min(MIN_LOCKOUT_SECONDS * 2**suspect.lockouts, MAX_LOCKOUT_SECONDS)
            suspect.failures, suspect.lockouts = 0, suspect.lockouts + 1
        while len(self._failures) > MAX_TRACKED_ENTRIES:
            self._failures.popitem(last=False)
