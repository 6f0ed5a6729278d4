"""The login: whether a broker that is there lets a part in and do its work, found out before the part starts."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.broker.acl import missing
from shared.broker.client import AWAY, BARRED, connect, refusal
from shared.errors import ArtDreamError
from shared.settings import Settings
from shared.ssh.broker_tunnel import reached

#: Seconds that a part waits for the answer before it starts without.
PATIENCE = 3


@contextmanager
def admitted(settings: Settings) -> Iterator[Settings]:
    """Give settings whose broker is reached, as `reached` does, and lets this installation do what it does.

    A broker that is away is none of this module's business: parts wait for it. Raises ArtDreamError where waiting would
    not help: a certificate that is not trusted, a wrong password, a missing permission.
    """
    with reached(settings) as settings:
        require_login(settings)
        yield settings


def require_login(settings: Settings) -> None:
    """Return where the broker lets this installation in, or is away. Raises ArtDreamError where it never will."""
    with connect(settings.broker, patience=PATIENCE) as client:
        try:
            lacking = missing(client)
        except (*AWAY, *BARRED) as error:
            if sentence := refusal(error):
                raise ArtDreamError(sentence) from error
            return
    if lacking:
        raise ArtDreamError(
            f"The broker forbids its user what ArtDream needs: give it {' '.join(lacking)}, "
            "and SECURITY.md has all that it wants."
        )
