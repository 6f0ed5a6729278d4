"""Console sessions: log in with the passcode, with lockouts against guessing."""

import hmac
import ipaddress
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

#: Seconds without a wrong passcode after which earlier ones are forgotten, and the next lockout is one step shorter.
LOCKOUT_DECAY_SECONDS = 3600.0

#: Seconds between two attempts that count while all addresses are locked out. Nobody guesses a passcode so slowly, and
#: whoever knows it gets in.
SHARED_ATTEMPT_INTERVAL_SECONDS = 10.0

#: Addresses, and sessions, that are tracked.
MAX_TRACKED_ENTRIES = 1_000

_ALL_ADDRESSES = "*"


@dataclass
class _LoginFailures:
    failures: int = 0
    lockouts: int = 0
    locked_until: float = 0.0
    failed_at: float = 0.0


class ConsoleSessions:
    """The sessions of one display, in memory only: a restart ends them all. Thread-safe."""

    def __init__(self, passcode: str, clock: Callable[[], float] = time.monotonic) -> None:
        """passcode: "" disables the console. clock: returns seconds."""
        self._passcode = passcode.encode()
        self._clock = clock
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._failures: OrderedDict[str, _LoginFailures] = OrderedDict()
        self._next_shared_attempt = 0.0
        self._lock = threading.Lock()

    @property
    def is_enabled(self) -> bool:
        """Whether a passcode is set; without one nobody can log in."""
        return bool(self._passcode)

    def get_lockout_seconds(self, address: str) -> float:
        """Return the seconds until an address may try to log in, 0.0 if it may now."""
        with self._lock:
            return self._get_lockout_seconds(address)

    def log_in(self, passcode: str, address: str) -> str | None:
        """Return a new session token, None if the passcode is wrong or the address is locked out."""
        is_correct = self.is_enabled and hmac.compare_digest(passcode.encode(), self._passcode)
        with self._lock:
            if not self.is_enabled or self._get_lockout_seconds(address):
                return None
            self._next_shared_attempt = self._clock() + SHARED_ATTEMPT_INTERVAL_SECONDS
            if not is_correct:
                self._record_failure(_get_network(address), MAX_FAILURES_PER_ADDRESS)
                self._record_failure(_ALL_ADDRESSES, MAX_FAILURES_IN_TOTAL)
                return None
            for key in (_get_network(address), _ALL_ADDRESSES):
                self._failures.pop(key, None)
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

    def _get_lockout_seconds(self, address: str) -> float:
        now = self._clock()
        locked_until = self._get_failures(_get_network(address)).locked_until
        # Guesses from elsewhere must not lock out whoever uses the machine itself.
        if self._get_failures(_ALL_ADDRESSES).locked_until > now and not _is_loopback(address):
            locked_until = max(locked_until, self._next_shared_attempt)
        return max(0.0, locked_until - now)

    def _get_failures(self, key: str) -> _LoginFailures:
        return self._failures.get(key) or _LoginFailures()

    def _record_failure(self, key: str, max_failures: int) -> None:
        record, now = self._failures.setdefault(key, _LoginFailures()), self._clock()
        self._failures.move_to_end(key)
        quiet_steps = int(max(0.0, now - max(record.locked_until, record.failed_at)) / LOCKOUT_DECAY_SECONDS)
        if quiet_steps:
            record.failures, record.lockouts = 0, max(0, record.lockouts - quiet_steps)
        record.failures, record.failed_at = record.failures + 1, now
        if record.failures >= max_failures:
            record.locked_until = now + min(MIN_LOCKOUT_SECONDS * 2**record.lockouts, MAX_LOCKOUT_SECONDS)
            record.failures, record.lockouts = 0, record.lockouts + 1
        while len(self._failures) > MAX_TRACKED_ENTRIES:
            self._failures.popitem(last=False)


def _get_network(address: str) -> str:
    """Return what the wrong passcodes of an address are counted by: one phone has all addresses of an IPv6 /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # no address, as behind a Unix socket
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
