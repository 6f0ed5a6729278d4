"""The URL at which phones reach the display."""

import ipaddress
import socket

from shared.settings import NO_PUBLIC_URL, Settings

#: Addresses reserved for documentation (RFC 5737, RFC 3849): connecting a UDP socket to one sends nothing, but selects
#: the local address that outbound traffic uses.
_ROUTE_PROBE_ADDRESSES = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def resolve_public_url(settings: Settings) -> str | None:
    """Return the display's base URL for phones, without a trailing slash; None if phones cannot reach the display."""
    if settings.public_url == NO_PUBLIC_URL:
        return None
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = _find_reachable_host(settings.host)
    if host is None:
        return None
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _find_reachable_host(host: str) -> str | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None if host == "localhost" else host
    if address.is_loopback:
        return None
    if not address.is_unspecified:
        return host
    return _find_outbound_address(socket.AF_INET) or (
        _find_outbound_address(socket.AF_INET6) if address.version == 6 else None
    )


def _find_outbound_address(family: socket.AddressFamily) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_ROUTE_PROBE_ADDRESSES[family], 9))
            address = str(probe.getsockname()[0])
    except OSError:  # no network
        return None
    return None if ipaddress.ip_address(address).is_loopback else address
