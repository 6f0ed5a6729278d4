"""The way to the broker: straight, or through an SSH host as if the broker were on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from shared.broker.policy import require_secure_url
from shared.errors import ArtDreamError
from shared.settings import BROKER_FILE, ENV_PREFIX, Settings


@contextmanager
def open_broker_tunnel(settings: Settings) -> Iterator[Settings]:
    """Give settings whose broker is reached through the SSH host, for as long as the block runs; without one, the same.

    A host that is away is waited for behind the block's back; until it is there, the broker is away. Raises
    ArtDreamError at once where waiting would not help: an address that is none, a key that is unknown or refused.
    """
    if not settings.ssh or _is_local_stack(settings):
        yield settings
        return
    # It takes half a second to import, which those without an SSH host need not wait for.
    from shared.ssh.connection import Account
    from shared.ssh.port_forward import PortForward

    account = Account.parse(settings.ssh, settings.ssh_key, settings.ssh_known_hosts)
    parts = urlsplit(
        require_secure_url(settings.configured_broker_url, allow_insecure=True)
    )  # nobody reads along in the tunnel
    if parts.scheme != "redis":
        raise ArtDreamError(
            f"{ENV_PREFIX}SSH encrypts already, and a certificate would not fit the tunnel's end: "
            f"let {ENV_PREFIX}BROKER_URL begin with redis://."
        )
    with PortForward(account, (parts.hostname or "localhost", parts.port or 6379)) as forward:
        password = parts.netloc.rpartition("@")[0]
        near = f"{password}@" if password else ""
        url = urlunsplit(parts._replace(netloc=f"{near}127.0.0.1:{forward.port}"))
        yield settings.model_copy(update={"broker_url": SecretStr(url), "ssh": None})


def _is_local_stack(settings: Settings) -> bool:
    """Tell whether the broker is that of the stack on this machine."""
    if settings.broker_url is None:
        return True
    try:
        return (settings.data / BROKER_FILE).read_text(encoding="utf-8").strip() == settings.configured_broker_url
    except OSError:
        return False
