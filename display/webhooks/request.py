"""Requests: one POST to an endpoint, within a time limit, to an address that was checked, without redirects."""

import http.client
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from urllib.parse import urlsplit

from shared.webhooks.endpoints import is_private

#: Bytes of a response that are read.
MAX_RESPONSE_BYTES = 4096

#: Seconds that a receiver may ask to wait, at most.
MAX_RETRY_AFTER_SECONDS = 86_400.0


class RequestFailed(Exception):
    """There is no answer. The text says why, in a few words."""


@dataclass(frozen=True)
class Answer:
    """The answer of an endpoint."""

    status: int
    #: Seconds after which it wants to be asked again; 0: it does not say.
    retry_after: float
    #: The beginning of the body, without control characters.
    text: str

    @property
    def is_success(self) -> bool:
        """Whether the endpoint has accepted the message."""
        return 200 <= self.status < 300


def post(url: str, headers: dict[str, str], body: bytes, *, seconds: float) -> Answer:
    """Send a request, and return the answer. seconds: time limit of everything after the name was resolved.

    Proxies are not used. Raises RequestFailed.
    """
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    addresses = _resolve(host, port, must_be_private=not is_tls)
    deadline = time.monotonic() + seconds
    connection = http.client.HTTPConnection(host, port)
    # A socket's own timeout begins again with each byte: an endpoint that answers one now and then would never end.
    timer = threading.Timer(seconds, _shut_down, [connection])
    timer.daemon = True
    timer.start()
    try:
        connection.sock = _connect(addresses, port, deadline)
        connection.sock.settimeout(seconds)
        if is_tls:
            context = ssl.create_default_context()
            # First known to the timer, then the handshake, which may drip as well.
            connection.sock = context.wrap_socket(connection.sock, server_hostname=host, do_handshake_on_connect=False)
            connection.sock.do_handshake()
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        default_port = 443 if is_tls else 80
        name = f"[{host}]" if ":" in host else host
        connection.request(
            "POST",
            path,
            body,
            {
                "Host": name if port == default_port else f"{name}:{port}",
                "Content-Type": "application/json",
                "User-Agent": f"ArtDream/{version('artdream')}",
                "Connection": "close",
                **headers,
            },
        )
        response = connection.getresponse()
        text = response.read(MAX_RESPONSE_BYTES) if response.status != 204 else b""
        return Answer(response.status, _parse_retry_after(response.getheader("Retry-After")), _clean(text))
    except (OSError, http.client.HTTPException, ValueError) as error:
        if time.monotonic() >= deadline:
            raise RequestFailed(f"no answer within {seconds:g} s") from error
        raise RequestFailed(_describe(error)) from error
    finally:
        timer.cancel()
        connection.close()


def _resolve(host: str, port: int, *, must_be_private: bool) -> list[str]:
    """Return the addresses of a host, to which the connection is made, so that they cannot change after the check."""
    try:
        addresses = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise RequestFailed(f"the name {host} is unknown") from error
    if must_be_private and not all(map(is_private, addresses)):
        raise RequestFailed(f"{host} is not on this machine or in its own network, so it needs https")
    return addresses


def _connect(addresses: list[str], port: int, deadline: float) -> socket.socket:
    """Connect to the first address that answers: a host may have some that cannot be reached from here."""
    for address in addresses[:-1]:
        with suppress(OSError):
            seconds = (deadline - time.monotonic()) / 2  # the others need time, too
            return socket.create_connection((address, port), timeout=max(0.1, seconds))
    return socket.create_connection((addresses[-1], port), timeout=max(0.1, deadline - time.monotonic()))


def _shut_down(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _parse_retry_after(value: str | None) -> float:
    """Return the seconds of a header `Retry-After`, a number or a date; 0 if there is none or it is invalid."""
    seconds = 0.0
    if value and re.fullmatch("[0-9]{1,9}", value.strip(), re.ASCII):
        seconds = float(value)
    elif value:
        with suppress(ValueError, TypeError, OverflowError):
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


def _clean(body: bytes) -> str:
    text = body.decode(errors="replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def _describe(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.partition(" (_ssl")[0].lower()
    return _clean(str(error).encode()) or type(error).__name__
