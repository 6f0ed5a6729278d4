"""A port of this machine that leads through one SSH connection, kept alive, to where the SSH host can reach."""

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import paramiko
from paramiko.ssh_exception import ChannelException, SSHException

from shared.errors import ArtDreamError
from shared.ssh.connection import Account, log_in

#: Seconds between two questions to the host, and those after which one that was not answered means a dead connection.
BEAT, SILENCE = 5.0, 10.0

#: Seconds before a lost connection is tried again; doubled each time up to the cap.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

#: Seconds that the host has to connect to the broker.
REACH = 10.0

#: Seconds that the end waits for a login that is under way.
GRACE = 2.0

#: Bytes that are carried at once.
CHUNK = 2**16

_log = logging.getLogger(__name__)


class Forward:
    """A port of this machine that leads to an address as seen from an SSH host.

    The port stays the same whatever becomes of the connection; while that is down, whoever connects is hung up on.
    """

    def __init__(
        self, account: Account, target: tuple[str, int], *, beat: float = BEAT, silence: float = SILENCE
    ) -> None:
        self._account = account
        self._target = target
        self._beat, self._silence = beat, silence
        self._client: paramiko.SSHClient | None = None
        self._trouble = ""
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        try:
            self._connect()
        except ConnectionError as error:
            self._tell(f"{error}; it is tried again until it does.")
        except BaseException:
            self._listener.close()
            raise
        self._threads = [_started(self._accept, "forward-accept"), _started(self._keep, "forward-keep")]
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._hang_up()
        with suppress(OSError):  # wakes the one who accepts
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        for thread in self._threads:
            thread.join(GRACE)
        self._listener.close()

    @property
    def up(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._transport() is not None

    def _transport(self) -> paramiko.Transport | None:
        transport = self._client and self._client.get_transport()
        return transport if transport and transport.is_active() else None

    def _connect(self) -> None:
        self._client = log_in(self._account)
        if self._trouble:
            _log.warning("The SSH host %s answers again.", self._account)
            self._trouble = ""

    def _keep(self) -> None:
        """Ask the host regularly whether it is there; connect anew when it is not."""
        pause = FIRST_PAUSE
        while not self._ended.is_set():
            if transport := self._transport():
                pause = FIRST_PAUSE
                transport.join(self._beat)  # returns early when the connection ends
                if transport.is_active():
                    self._ask(transport)
                continue
            self._hang_up()
            try:
                self._connect()
            except (ConnectionError, ArtDreamError) as error:
                self._tell(f"{error}")
                self._ended.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        self._hang_up()

    def _ask(self, transport: paramiko.Transport) -> None:
        """Wait for an answer, whatever it is; without one the connection is dead."""
        silence = threading.Timer(self._silence, lambda: _cut(transport))
        silence.daemon = True
        silence.start()
        try:
            transport.global_request("keepalive@openssh.com", wait=True)
        except (OSError, EOFError, SSHException):
            _cut(transport)
        finally:
            silence.cancel()

    def _hang_up(self) -> None:
        if self._client and (transport := self._client.get_transport()):
            _cut(transport)
            self._client.close()

    def _tell(self, sentence: str) -> None:
        if sentence != self._trouble:
            self._trouble = sentence
            _log.warning("%s", sentence[:1].upper() + sentence[1:])

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:  # no more files may be open, for now
                self._ended.wait(FIRST_PAUSE)
                continue
            _started(lambda near=near: self._serve(near), "forward-channel")  # type: ignore[misc]

    def _serve(self, near: socket.socket) -> None:
        """Carry what one client says to the target and back, until both have said all."""
        try:
            if transport := self._transport():
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                channel = transport.open_channel("direct-tcpip", self._target, near.getpeername(), timeout=REACH)
                _carry(near, channel)
        except ChannelException as error:
            host, port = self._target
            self._tell(f"the SSH host {self._account} cannot reach {host}:{port} ({error.text})")
        except (OSError, EOFError, SSHException):
            pass  # the client sees that it was hung up on, and tries again
        finally:
            # Not closed only: a child process that was forked meanwhile may hold it open too.
            _end(near)
            near.close()


def _carry(near: socket.socket, channel: paramiko.Channel) -> None:
    def back() -> None:
        _pour(lambda: channel.recv(CHUNK), near.sendall)
        if channel.closed:
            _end(near)
        else:
            with suppress(OSError):
                near.shutdown(socket.SHUT_WR)

    thread = _started(back, "forward-back")
    try:
        _pour(lambda: near.recv(CHUNK), channel.sendall)
        channel.shutdown_write()
        thread.join()
    except (OSError, EOFError):
        pass
    finally:
        channel.close()


def _pour(read: Callable[[], bytes], write: Callable[[bytes], object]) -> None:
    with suppress(OSError, EOFError):
        while data := read():
            write(data)


def _end(near: socket.socket) -> None:
    with suppress(OSError):
        near.shutdown(socket.SHUT_RDWR)


def _cut(transport: paramiko.Transport) -> None:
    """End a connection now, on both sides."""
    with suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)
    transport.close()


def _started(work: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread
