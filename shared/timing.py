"""Timing: how long the parts of an installation wait for a sign of life from each other before they act."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Intervals and timeouts of failure detection, in seconds.

    Every process of an installation uses DEFAULT_TIMING. They are handed down so that tests need not wait as long.
    """

    #: Until a lease expires without renewal, and between renewals. A shorter lease passes a dead worker's job on
    #: sooner; but a worker that cannot renew for longer loses a dream that it might have finished.
    lease_seconds: float = 10.0
    renew_interval_seconds: float = 2.5

    #: Without a sweep for expired leases that counts as an outage of the broker, and of grace that workers then get to
    #: renew.
    outage_after_seconds: float = 6.0
    renewal_grace_seconds: float = 5.0

    #: Between two passes of any worker's reconciler.
    reconcile_interval_seconds: float = 2.0

    #: For which a job may have neither message nor claim: popped and not yet claimed.
    in_transit_seconds: float = 20.0

    #: Until a heartbeat expires and its process counts as gone. Processes must announce at least three times as often.
    heartbeat_ttl_seconds: float = 15.0

    #: Between two checks of the watchdog, and for which an idle worker may leave messages waiting.
    watchdog_interval_seconds: float = 3.0
    stuck_timeout_seconds: float = 30.0

    #: Without a sign of life after which a worker counts as not consuming. Long enough for the watchdog to restart the
    #: worker first, and for a check of a broker that has just hung, which takes two connection timeouts.
    liveness_timeout_seconds: float = 45.0

    #: For which a pool process that warms up waits for the store, all recipes together: much less than Celery gives it
    #: to get ready, WARM_UP_TIMEOUT_SECONDS, so that it can say what failed and serve the other recipes.
    warm_up_store_seconds: float = 120.0


DEFAULT_TIMING = Timing()
