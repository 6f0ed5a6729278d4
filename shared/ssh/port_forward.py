"""Port forwarding: a local port that leads through one supervised SSH connection to an address behind the host."""

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

#: Seconds between two probes of the host, and seconds without a reply after which the connection is considered dead.
PROBE_INTERVAL_SECONDS, PROBE_TIMEOUT_SECONDS = 5.0, 10.0

#: Seconds before the next attempt to reconnect; doubled after each failure, up to the maximum.
MIN_RECONNECT_DELAY_SECONDS, MAX_RECONNECT_DELAY_SECONDS = 0.2, 5.0

#: Seconds that the host has to connect to the broker.
TARGET_CONNECT_TIMEOUT_SECONDS = 10.0

#: Seconds to wait at the end for a thread that may be logging in.
THREAD_JOIN_TIMEOUT_SECONDS = 2.0

#: Bytes relayed at once.
RECEIVE_BUFFER_BYTES = 2**16

logger = logging.getLogger(__name__)


class PortForward:
    """Forwards a local port to a target address (host, port) as seen from an SSH host.

    The port stays the same when the connection is lost; until it is restored, clients are disconnected at once.
    """

    def __init__(
        self,
        account: Account,
        target: tuple[str, int],
        *,
        probe_interval: float = PROBE_INTERVAL_SECONDS,
        probe_timeout: float = PROBE_TIMEOUT_SECONDS,
    ) -> None:
        self._account = account
        self._target = target
        self._probe_interval, self._probe_timeout = probe_interval, probe_timeout
        self._client: paramiko.SSHClient | None = None
        self._last_warning = ""
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        try:
            self._connect()
        except ConnectionError as error:
            self._warn_once(f"{error}; it is tried again until it does.")
        except BaseException:
            self._listener.close()
            raise
        self._threads = [
            _start_thread(self._accept_clients, "forward-accept"),
            _start_thread(self._keep_connected, "forward-keep"),
        ]
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._disconnect()
        with suppress(OSError):  # wakes the thread that accepts clients
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        for thread in self._threads:
            thread.join(THREAD_JOIN_TIMEOUT_SECONDS)
        self._listener.close()

    @property
    def is_connected(self) -> bool:
        """Whether the SSH connection is up, as far as is known."""
        return self._get_active_transport() is not None

    def _get_active_transport(self) -> paramiko.Transport | None:
        transport = self._client and self._client.get_transport()
        return transport if transport and transport.is_active() else None

    def _connect(self) -> None:
        self._client = log_in(self._account)
        if self._last_warning:
            logger.warning("The SSH host %s answers again.", self._account)
            self._last_warning = ""

    def _keep_connected(self) -> None:
        """Probe the host regularly, and reconnect when the connection is lost."""
        delay = MIN_RECONNECT_DELAY_SECONDS
        while not self._closing.is_set():
            if transport := self._get_active_transport():
                delay = MIN_RECONNECT_DELAY_SECONDS
                transport.join(self._probe_interval)  # returns early when the connection ends
                if transport.is_active():
                    self._probe_connection(transport)
                continue
            self._disconnect()
            try:
                self._connect()
            except (ConnectionError, ArtDreamError) as error:
                self._warn_once(f"{error}")
                self._closing.wait(delay)
                delay = min(2 * delay, MAX_RECONNECT_DELAY_SECONDS)
        self._disconnect()

    def _probe_connection(self, transport: paramiko.Transport) -> None:
        """Send a keepalive request and wait for any reply; close the connection if there is none in time."""
        timer = threading.Timer(self._probe_timeout, lambda: _close_transport(transport))
        timer.daemon = True
        timer.start()
        try:
            transport.global_request("keepalive@openssh.com", wait=True)
        except (OSError, EOFError, SSHException):
            _close_transport(transport)
        finally:
            timer.cancel()

    def _disconnect(self) -> None:
        if self._client and (transport := self._client.get_transport()):
            _close_transport(transport)
            self._client.close()

    def _warn_once(self, message: str) -> None:
        if message != self._last_warning:
            self._last_warning = message
            logger.warning("%s", message[:1].upper() + message[1:])

    def _accept_clients(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:  # too many open files, for now
                self._closing.wait(MIN_RECONNECT_DELAY_SECONDS)
                continue
            _start_thread(lambda client=client: self._forward_client(client), "forward-channel")  # type: ignore[misc]

    def _forward_client(self, client_socket: socket.socket) -> None:
        """Relay between one client and the target until both directions have ended."""
        try:
            if transport := self._get_active_transport():
                client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                channel = transport.open_channel(
                    "direct-tcpip", self._target, client_socket.getpeername(), timeout=TARGET_CONNECT_TIMEOUT_SECONDS
                )
                _relay(client_socket, channel)
        except ChannelException as error:
            host, port = self._target
            self._warn_once(f"the SSH host {self._account} cannot reach {host}:{port} ({error.text})")
        except (OSError, EOFError, SSHException):
            pass  # the client sees the disconnect and retries
        finally:
            # Closing alone is not enough: a child process that was forked meanwhile may also hold the socket.
            _shut_down_socket(client_socket)
            client_socket.close()


def _relay(client_socket: socket.socket, channel: paramiko.Channel) -> None:
    def relay_to_client() -> None:
        _copy_until_end(lambda: channel.recv(RECEIVE_BUFFER_BYTES), client_socket.sendall)
        if channel.closed:
            _shut_down_socket(client_socket)
        else:
            with suppress(OSError):
                client_socket.shutdown(socket.SHUT_WR)

    thread = _start_thread(relay_to_client, "forward-back")
    try:
        _copy_until_end(lambda: client_socket.recv(RECEIVE_BUFFER_BYTES), channel.sendall)
        channel.shutdown_write()
        thread.join()
    except (OSError, EOFError):
        pass
    finally:
        channel.close()


def _copy_until_end(read: Callable[[], bytes], write: Callable[[bytes], object]) -> None:
    with suppress(OSError, EOFError):
        while data := read():
            write(data)


def _shut_down_socket(client_socket: socket.socket) -> None:
    with suppress(OSError):
        client_socket.shutdown(socket.SHUT_RDWR)


def _close_transport(transport: paramiko.Transport) -> None:
    """Close a connection at once, in both directions."""
    with suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)
    transport.close()


def _start_thread(target: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
