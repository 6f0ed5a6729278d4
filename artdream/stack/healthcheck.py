"""Check the health of a component on this machine: `python -m artdream.stack.healthcheck worker`.

Exits with 0 if it is healthy, otherwise prints the reason and exits with 1.

Separate from the command line because it imports half as much: containers run it twice a minute.
"""

import platform
import re
import sys
import time
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import urlopen

from shared.broker.client import BROKER_ACCESS_DENIED, BROKER_UNAVAILABLE, connect, describe_error
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.monitoring.heartbeat import DISPLAY_HEALTH_PATH, Component, HeartbeatRegistry
from shared.settings import Settings
from shared.ssh.broker_tunnel import open_broker_tunnel

#: Seconds that a warm worker may leave queued jobs unclaimed. Its own watchdog restarts it after half of that.
MAX_UNCLAIMED_SECONDS = 60

#: Timeout in seconds of a request to the broker or the display.
CHECK_TIMEOUT_SECONDS = 4


def require_healthy(settings: Settings, component: Component) -> None:
    """Check that a process of the component on this machine is working.

    Raises ArtDreamError with the problem if none is, and redis.RedisError if the broker is unavailable.
    """
    if component is Component.DISPLAY:  # It does its work even while the broker is unavailable.
        _require_http_response(settings)
        return
    with (
        open_broker_tunnel(settings) as tunnelled,
        connect(tunnelled.broker, timeout=CHECK_TIMEOUT_SECONDS) as client,
    ):
        heartbeats = [
            heartbeat
            for heartbeat in HeartbeatRegistry(client).list_heartbeats()
            if heartbeat.part == component and _is_on_this_host(heartbeat.name)
        ]
        if not heartbeats:
            raise ArtDreamError(f"No {component} is running on this machine.")
        if component is not Component.WORKER:
            return
        warm = [heartbeat for heartbeat in heartbeats if heartbeat.state in ("ready", "dreaming")]
        if not warm:
            states = ", ".join(heartbeat.state for heartbeat in heartbeats)
            raise ArtDreamError(f"No worker on this machine is warm: {states}.")
        if all(
            heartbeat.state == "ready" and time.time() - heartbeat.since > MAX_UNCLAIMED_SECONDS for heartbeat in warm
        ):
            from shared.jobs.queue import count_queued  # Imports Celery, which takes as long as everything else.

            served_lanes = {lane for heartbeat in warm for lane in heartbeat.lanes or tuple(Lane)}
            if any(count_queued(client, Lane(lane)) for lane in served_lanes):
                raise ArtDreamError(
                    f"Jobs are queued, and no worker on this machine has claimed one for {MAX_UNCLAIMED_SECONDS} s."
                )


def _is_on_this_host(process_name: str) -> bool:
    """Return whether the process of that name in the heartbeat registry runs on this machine."""
    return bool(re.fullmatch(rf"{re.escape(platform.node())}(-[0-9a-f]{{8}})?[-:]\d+", process_name))


def _require_http_response(settings: Settings) -> None:
    url = f"http://127.0.0.1:{settings.port}{DISPLAY_HEALTH_PATH}"
    try:
        with urlopen(url, timeout=CHECK_TIMEOUT_SECONDS):
            return
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise ArtDreamError(f"The display does not answer at {url} ({error}).") from error


def main(component: str) -> None:
    """Return if the component is healthy; otherwise print the reason on stderr and exit with 1."""
    try:
        require_healthy(Settings.read(), Component(component))
    except (ArtDreamError, *BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED) as error:
        sys.exit(describe_error(error))


if __name__ == "__main__":
    main(sys.argv[1])
