"""The broker tunnel: reach the broker directly, or through an SSH host as if it were on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from shared.broker.policy import require_secure_url
from shared.errors import ArtDreamError
from shared.settings import BROKER_FILE, ENV_PREFIX, Settings


@contextmanager
def open_broker_tunnel(settings: Settings) -> Iterator[Settings]:
    """Yield settings whose broker URL leads through the SSH host while the block runs; unchanged without an SSH host.

    If the host is unavailable, the tunnel keeps reconnecting in the background and the broker is unavailable meanwhile.
    Raises ArtDreamError at once if waiting would not help: an invalid address, an unknown host key, a refused key.
    """
    if not settings.ssh or _is_local_stack(settings):
        yield settings
        return
    # The import takes half a second, which installations without an SSH host are spared.
    from shared.ssh.connection import Account
    from shared.ssh.port_forward import PortForward

    account = Account.parse(settings.ssh, settings.ssh_key, settings.ssh_known_hosts)
    # The tunnel encrypts, so a plain redis:// URL is safe.
    parts = urlsplit(require_secure_url(settings.configured_broker_url, allow_insecure=True))
    if parts.scheme != "redis":
        raise ArtDreamError(
            f"{ENV_PREFIX}SSH encrypts already, and a certificate would not fit the tunnel's end: "
            f"let {ENV_PREFIX}BROKER_URL begin with redis://."
        )
    with PortForward(account, (parts.hostname or "localhost", parts.port or 6379)) as forward:
        credentials = parts.netloc.rpartition("@")[0]
        userinfo = f"{credentials}@" if credentials else ""
        url = urlunsplit(parts._replace(netloc=f"{userinfo}127.0.0.1:{forward.port}"))
        yield settings.model_copy(update={"broker_url": SecretStr(url), "ssh": None})


def _is_local_stack(settings: Settings) -> bool:
    """Return whether the broker is the embedded one of this machine."""
    if settings.broker_url is None:
        return True
    try:
        return (settings.data / BROKER_FILE).read_text(encoding="utf-8").strip() == settings.configured_broker_url
    except OSError:
        return False
