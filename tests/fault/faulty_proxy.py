"""A TCP proxy that can be cut, silenced, slowed down or made to corrupt data while connections are open."""

import contextlib
import random
import selectors
import socket
import threading
import time
from enum import StrEnum

from tests.stack import free_port


class LinkState(StrEnum):
    """How the proxy handles the data that passes through it."""

    HEALTHY = "whole"
    #: Accepts all data and connections and delivers nothing, without an error: a dead mobile network.
    SILENT = "silent"
    #: As SILENT, but only for open connections; new ones are healthy: a NAT that lost its table.
    HALF_OPEN = "half open"
    #: Closes open connections and refuses new ones.
    CUT = "cut"
    #: Changes one byte in every large response.
    CORRUPTING = "bent"


class FaultyProxy:
    """A TCP proxy of one port on the loopback interface; call `close` when done."""

    def __init__(self, port: int, *, delay: float = 0.0) -> None:
        """port: the port to connect to. delay: seconds added to every chunk of data in either direction."""
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
        """The current state."""
        return self._state

    @state.setter
    def state(self, state: LinkState) -> None:
        if state is LinkState.HALF_OPEN:
            self._dead_threads = {thread for thread in threading.enumerate() if thread.name == self._thread_name}
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
            with contextlib.suppress(OSError):  # macOS
                listener.shutdown(socket.SHUT_RDWR)  # the thread that accepts would keep it open for a moment
            listener.close()

    def _accept(self) -> None:
        while self._is_open:
            listener = self._listener
            if listener is None:
                time.sleep(0.02)
                continue
            try:
                client, _ = listener.accept()
            except OSError:
                continue
            threading.Thread(target=self._relay, args=(client,), name=self._thread_name, daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", self._target_port)) as server,
            selectors.DefaultSelector() as selector,
        ):
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
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
                        break  # the data was in transit
                    key.data.sendall(self._corrupt(data) if key.fileobj is server else data)

    def _is_silent(self) -> bool:
        half_open = self._state is LinkState.HALF_OPEN and threading.current_thread() in self._dead_threads
        return half_open or self._state is LinkState.SILENT

    def _corrupt(self, data: bytes) -> bytes:
        if self._state is not LinkState.CORRUPTING or len(data) < 1000:
            return data
        # Only bodies: how much of one comes along with the headers depends on the load of the machine.
        body = data.find(b"\r\n\r\n") + 4 if data.startswith(b"HTTP/") else 0
        if body >= len(data):
            return data
        offset = self._rng.randrange(body, len(data))
        return data[:offset] + bytes([data[offset] ^ 0xFF]) + data[offset + 1 :]
