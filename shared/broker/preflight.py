"""The login: whether a broker that is there lets a part in and do its work, found out before the part starts."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.broker.acl import find_missing_rules
from shared.broker.client import BROKER_ACCESS_DENIED, BROKER_UNAVAILABLE, connect, explain_permanent_error
from shared.errors import ArtDreamError
from shared.settings import Settings
from shared.ssh.broker_tunnel import open_broker_tunnel

#: Seconds that a part waits for the answer before it starts without.
PREFLIGHT_TIMEOUT_SECONDS = 3


@contextmanager
def open_checked_broker_tunnel(settings: Settings) -> Iterator[Settings]:
    """Give settings whose broker is reached, as `reached` does, and lets this installation do what it does.

    A broker that is away is none of this module's business: parts wait for it. Raises ArtDreamError where waiting would
    not help: a certificate that is not trusted, a wrong password, a missing permission.
    """
    with open_broker_tunnel(settings) as settings:
        require_broker_access(settings)
        yield settings


def require_broker_access(settings: Settings) -> None:
    """Return where the broker lets this installation in, or is away. Raises ArtDreamError where it never will."""
    with connect(settings.broker, timeout=PREFLIGHT_TIMEOUT_SECONDS) as client:
        try:
            lacking = find_missing_rules(client)
        except (*BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED) as error:
            if sentence := explain_permanent_error(error):
                raise ArtDreamError(sentence) from error
            return
    if lacking:
        raise ArtDreamError(
            f"The broker forbids its user what ArtDream needs: give it {' '.join(lacking)}, "
            "and SECURITY.md has all that it wants."
        )
