"""Console sessions: log in with the passcode, with lockouts against guessing."""

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: The cookie that holds the session token.
SESSION_COOKIE = "artdream_console"

#: Lifetime of a session: one exhibition day.
SESSION_LIFETIME_SECONDS = 12 * 3600

#: Wrong passcodes from one address, and from all addresses together, that cause a lockout.
MAX_FAILURES_PER_ADDRESS, MAX_FAILURES_IN_TOTAL = 5, 50

#: Seconds of the first lockout, doubled with each further one up to the maximum.
MIN_LOCKOUT_SECONDS, MAX_LOCKOUT_SECONDS = 30.0, 3600.0

#: Addresses, and sessions, that are tracked.
MAX_TRACKED_ENTRIES = 1_000

_ALL_ADDRESSES = "*"


@dataclass
class _LoginFailures:
    failures: int = 0
    lockouts: int = 0
    locked_until: float = 0.0


class ConsoleSessions:
    """The sessions of one display, in memory only: a restart ends them all. Thread-safe."""

    def __init__(self, passcode: str, clock: Callable[[], float] = time.monotonic) -> None:
        """passcode: "" disables the console. clock: returns seconds."""
        self._passcode = passcode.encode()
        self._clock = clock
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._failures: OrderedDict[str, _LoginFailures] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def is_enabled(self) -> bool:
        """Whether a passcode is set; without one nobody can log in."""
        return bool(self._passcode)

    def get_lockout_seconds(self, address: str) -> float:
        """Return the remaining seconds of an address's lockout, 0.0 if it may log in."""
        with self._lock:
            return max(
                0.0, *(self._get_failures(key).locked_until - self._clock() for key in (address, _ALL_ADDRESSES))
            )

    def log_in(self, passcode: str, address: str) -> str | None:
        """Return a new session token, None if the passcode is wrong or the address is locked out."""
        if not self.is_enabled or self.get_lockout_seconds(address):
            return None
        is_correct = hmac.compare_digest(passcode.encode(), self._passcode)
        with self._lock:
            if not is_correct:
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
        """Return whether a session token was issued here and has neither expired nor been logged out."""
        with self._lock:
            return self._sessions.get(session or "", 0.0) > self._clock()

    def log_out(self, session: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(session, None)

    def _get_failures(self, address: str) -> _LoginFailures:
        return self._failures.get(address) or _LoginFailures()

    def _record_failure(self, address: str, max_failures: int) -> None:
        record = self._failures.setdefault(address, _LoginFailures())
        self._failures.move_to_end(address)
        record.failures += 1
        if record.failures >= max_failures:
            record.locked_until = self._clock() + min(MIN_LOCKOUT_SECONDS * 2**record.lockouts, MAX_LOCKOUT_SECONDS)
            record.failures, record.lockouts = 0, record.lockouts + 1
        while len(self._failures) > MAX_TRACKED_ENTRIES:
            self._failures.popitem(last=False)
