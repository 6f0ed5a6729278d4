"""The guard: lets the operator into the console, and nobody who guesses."""

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: The cookie that a session is known by.
COOKIE = "artdream_console"

#: Seconds that a session lasts.
SESSION = 12 * 3600

#: Wrong passcodes from one address, and from all together, before the next ones are not even looked at.
TRIES, TRIES_OF_ALL = 5, 50

#: Seconds that an address is locked out for the first time; doubled each time, up to the last.
FIRST_LOCK, LAST_LOCK = 30.0, 3600.0

#: Addresses and sessions that are remembered.
REMEMBERED = 1_000

_ALL = "*"


@dataclass
class _Suspect:
    wrong: int = 0
    locks: int = 0
    until: float = 0.0


class Guard:
    """One display's sessions, in memory: a restart asks for the passcode again. May be used from several threads."""

    def __init__(self, passcode: str, clock: Callable[[], float] = time.monotonic) -> None:
        """passcode: "" where there is none, and then nobody is let in."""
        self._passcode = passcode.encode()
        self._clock = clock
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._suspects: OrderedDict[str, _Suspect] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether there is a console at all."""
        return bool(self._passcode)

    def locked(self, address: str) -> float:
        """Return the seconds for which an address may not try."""
        with self._lock:
            return max(0.0, *(self._suspect(one).until - self._clock() for one in (address, _ALL)))

    def enter(self, passcode: str, address: str) -> str | None:
        """Return a new session where the passcode is right, None where it is wrong or the address is locked out."""
        if not self.open or self.locked(address):
            return None
        right = hmac.compare_digest(passcode.encode(), self._passcode)
        with self._lock:
            if not right:
                self._note(address, TRIES)
                self._note(_ALL, TRIES_OF_ALL)
                return None
            self._suspects.pop(address, None)
            session = secrets.token_urlsafe(32)
            self._sessions[session] = self._clock() + SESSION
            while len(self._sessions) > REMEMBERED:
                self._sessions.popitem(last=False)
            return session

    def knows(self, session: str | None) -> bool:
        """Tell whether a session was begun here and has not ended."""
        with self._lock:
            return self._sessions.get(session or "", 0.0) > self._clock()

    def leave(self, session: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(session, None)

    def _suspect(self, address: str) -> _Suspect:
        return self._suspects.get(address) or _Suspect()

    def _note(self, address: str, tries: int) -> None:
        suspect = self._suspects.setdefault(address, _Suspect())
        self._suspects.move_to_end(address)
        suspect.wrong += 1
        if suspect.wrong >= tries:
            suspect.until = self._clock() + min(FIRST_LOCK * 2**suspect.locks, LAST_LOCK)
            suspect.wrong, suspect.locks = 0, suspect.locks + 1
        while len(self._suspects) > REMEMBERED:
            self._suspects.popitem(last=False)
