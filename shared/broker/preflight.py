"""Preflight: check, before a component starts, that the broker grants it the access that it needs."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.broker.acl import find_missing_rules
from shared.broker.client import BROKER_ACCESS_DENIED, BROKER_UNAVAILABLE, connect, explain_permanent_error
from shared.errors import ArtDreamError
from shared.settings import Settings
from shared.ssh.broker_tunnel import open_broker_tunnel

#: Seconds to wait for the broker before the component starts unchecked.
PREFLIGHT_TIMEOUT_SECONDS = 3


@contextmanager
def open_checked_broker_tunnel(settings: Settings) -> Iterator[Settings]:
    """Yield settings as `open_broker_tunnel` does, after checking the access to the broker.

    An unavailable broker is no error here: components wait for it themselves. Raises ArtDreamError if waiting would not
    help: an untrusted certificate, a wrong password, a missing permission.
    """
    with open_broker_tunnel(settings) as settings:
        require_broker_access(settings)
        yield settings


def require_broker_access(settings: Settings) -> None:
    """Raise ArtDreamError if the broker denies access for good; return if it grants access or is unavailable."""
    with connect(settings.broker, timeout=PREFLIGHT_TIMEOUT_SECONDS) as client:
        try:
            missing_rules = find_missing_rules(client)
        except (*BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED) as error:
            if explanation := explain_permanent_error(error):
                raise ArtDreamError(explanation) from error
            return
    if missing_rules:
        raise ArtDreamError(
            f"The broker forbids its user what ArtDream needs: give it {' '.join(missing_rules)}, "
            "and all that docs/security.md lists."
        )
