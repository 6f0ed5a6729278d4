"""A worker with the dreamer of the tests and other times: `python -m tests.worker_process TIMING [--lane LANE]…`.

It does what `artdream worker` does, with the same settings, and imports neither TensorFlow nor JAX. TIMING is
`shared.timing.Timing` as JSON. On SIGUSR2 it stops consuming, as a consumer does that got lost in a reconnect.
"""

import argparse
import json
import logging
import signal
import sys
from dataclasses import asdict

from shared.broker.preflight import open_checked_broker_tunnel
from shared.jobs.job import Lane
from shared.monitoring.exporter import enable_multiprocess_metrics, serve_metrics
from shared.monitoring.logs import configure_logging
from shared.settings import Settings
from shared.timing import Timing

#: Times of tests, which wait for some of them: as short as a busy machine allows.
SHORT_TIMING = Timing(
    lease_seconds=2.0,
    renew_interval_seconds=0.4,
    outage_after_seconds=1.5,
    renewal_grace_seconds=1.0,
    reconcile_interval_seconds=0.2,
    in_transit_seconds=2.0,
    watchdog_interval_seconds=0.2,
    stuck_timeout_seconds=6.0,
    liveness_timeout_seconds=3.0,
    warm_up_store_seconds=0.5,
)

#: What the log says when the worker has stopped consuming.
STALLED_MESSAGE = "this worker takes no more messages"


def worker_command(*options: str, timing: Timing = SHORT_TIMING) -> list[str]:
    """Return the command line of a worker; run it in the root of the checkout."""
    return [sys.executable, "-m", __name__, json.dumps(asdict(timing)), *options]


def main() -> None:
    """Process jobs until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("timing", type=lambda text: Timing(**json.loads(text)))
    parser.add_argument("--lane", type=Lane, action="append", default=[])
    arguments = parser.parse_args()
    settings = Settings.read()
    configure_logging(settings, "worker")
    with open_checked_broker_tunnel(settings) as settings, enable_multiprocess_metrics(settings):
        from tests.dreamer import StepDreamer
        from worker.app import run
        from worker.consumer.liveness import Liveness

        stall_on_signal()
        liveness = Liveness()
        with serve_metrics(settings, settings.worker_metrics_port, is_consuming=liveness.is_alive):
            run(
                settings,
                lanes=arguments.lane or tuple(Lane),
                liveness=liveness,
                make_dreamer=StepDreamer.from_settings,
                timing=arguments.timing,
            )


def stall_on_signal() -> None:
    """Make the worker of this process stop consuming on SIGUSR2, once it is ready."""
    from celery.signals import worker_ready
    from celery.worker.consumer import Consumer

    def install_handler(sender: Consumer, **_: object) -> None:
        def stall(*_: object) -> None:
            for lane in list(sender.app.amqp.queues.consume_from):
                sender.cancel_task_queue(lane)
            logging.getLogger(__name__).warning(STALLED_MESSAGE)

        signal.signal(signal.SIGUSR2, stall)

    worker_ready.connect(install_handler, weak=False)


if __name__ == "__main__":
    main()
