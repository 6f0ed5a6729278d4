"""A wire between two parts that can be cut, stretched and bent while they talk."""

import contextlib
import random
import selectors
import socket
import threading
import time
from enum import StrEnum

from tests.stack import free_port


class LinkState(StrEnum):
    """What the wire does with what goes through it."""

    HEALTHY = "whole"
    #: Takes everything and delivers nothing, and tells nobody: a dead mobile network. New connections are as dead.
    SILENT = "silent"
    #: As silent, but only for those connections that stand; new ones are whole. What NAT does that forgets.
    HALF_OPEN = "half open"
    #: Closes what stands and takes nothing new.
    CUT = "cut"
    #: Changes a byte in every large answer.
    CORRUPTING = "bent"


class FaultyProxy:
    """A TCP relay on loopback to one port; close it in the end."""

    def __init__(self, port: int, *, delay: float = 0.0) -> None:
        """delay: seconds that every piece takes, one way."""
        self.port = free_port()
        self.delay = delay
        self._target_port = port
        self._state = LinkState.HEALTHY
        self._dead_threads: set[threading.Thread] = set()
        self._is_open = True
        self._rng = random.Random(0)
        self._listener: socket.socket | None = None
        self._listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def state(self) -> LinkState:
        """What the wire does now."""
        return self._state

    @state.setter
    def state(self, state: LinkState) -> None:
        if state is LinkState.HALF_OPEN:
            self._dead_threads = {one for one in threading.enumerate() if one.name == self._thread_name}
        self._state = state
        if state is LinkState.CUT:
            self._stop_listening()
        elif self._listener is None:
            self._listen()

    def close(self) -> None:
        """Close every connection."""
        self._is_open = False
        self._state = LinkState.CUT
        self._stop_listening()

    @property
    def _thread_name(self) -> str:
        return f"wire {self.port}"

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(0.1)

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener:
            listener.close()

    def _accept(self) -> None:
        while self._is_open:
            listener = self._listener
            if listener is None:
                time.sleep(0.02)
                continue
            try:
                near, _ = listener.accept()
            except OSError:
                continue
            threading.Thread(target=self._relay, args=(near,), name=self._thread_name, daemon=True).start()

    def _relay(self, near: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            near,
            socket.create_connection(("127.0.0.1", self._target_port)) as far,
            selectors.DefaultSelector() as selector,
        ):
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while self._state is not LinkState.CUT:
                if self._is_silent():
                    time.sleep(0.05)
                    continue
                for key, _ in selector.select(0.05):
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not data:
                        return
                    if self.delay:
                        time.sleep(self.delay)
                    if self._is_silent():
                        break  # it was on its way
                    key.data.sendall(self._corrupt(data) if key.fileobj is far else data)

    def _is_silent(self) -> bool:
        half_open = self._state is LinkState.HALF_OPEN and threading.current_thread() in self._dead_threads
        return half_open or self._state is LinkState.SILENT

    def _corrupt(self, data: bytes) -> bytes:
        if self._state is not LinkState.CORRUPTING or len(data) < 1000:
            return data
        at = self._rng.randrange(len(data) // 2, len(data))  # not in the headers
        return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
