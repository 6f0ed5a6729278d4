"""Check whether a part of this machine is at work: `python -m artdream.stack.healthcheck worker`.

It exits with 0, or with 1 and the reason.

For the health checks of containers, which ask twice a minute: it loads half of what the command line does.
"""

import platform
import sys
import time
from http.client import HTTPException
from urllib.request import urlopen

from shared.broker.client import BROKER_ACCESS_DENIED, BROKER_UNAVAILABLE, connect
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.settings import Settings

#: Seconds for which a warm worker may leave jobs waiting. Its own watchdog starts it anew after half of that.
MAX_UNCLAIMED_SECONDS = 60

#: Seconds that whoever is asked has for an answer.
CHECK_TIMEOUT_SECONDS = 4


def require_healthy(settings: Settings, component: Component) -> None:
    """Raise ArtDreamError where no process of a part on this machine does its work, in words that say what is wrong."""
    if component is Component.DISPLAY:  # it goes on showing while the broker is away
        _require_http_response(settings)
        return
    with connect(settings.broker, timeout=CHECK_TIMEOUT_SECONDS) as client:
        ours = [
            one
            for one in HeartbeatRegistry(client).list_heartbeats()
            if one.part == component and _is_on_this_host(one.name)
        ]
        if not ours:
            raise ArtDreamError(f"No {component} of this machine has been heard of lately.")
        if component is not Component.WORKER:
            return
        warm = [one for one in ours if one.state in ("ready", "dreaming")]
        if not warm:
            raise ArtDreamError(f"No worker of this machine is warm: {', '.join(one.state for one in ours)}.")
        if all(one.state == "ready" and time.time() - one.since > MAX_UNCLAIMED_SECONDS for one in warm):
            from shared.jobs.queue import count_queued  # with Celery, which takes as long as all the rest

            served = {lane for one in warm for lane in one.lanes or tuple(Lane)}
            if any(count_queued(client, Lane(lane)) for lane in served):
                raise ArtDreamError(
                    f"Jobs wait, and no worker of this machine has taken one for {MAX_UNCLAIMED_SECONDS} s."
                )


def _is_on_this_host(process_name: str) -> bool:
    """Tell whether a process that is called so runs on this machine."""
    machine = platform.node()
    return process_name.startswith((f"{machine}-", f"{machine}:"))


def _require_http_response(settings: Settings) -> None:
    address = f"http://127.0.0.1:{settings.port}/"
    try:
        with urlopen(address, timeout=CHECK_TIMEOUT_SECONDS):
            return
    except (OSError, HTTPException) as error:
        raise ArtDreamError(f"The display does not answer at {address} ({error}).") from error


def main(component: str) -> None:
    """Exit with 0 or 1."""
    try:
        require_healthy(Settings.read(), Component(component))
    except (ArtDreamError, *BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1])
