"""Log routing: route what Celery and its pool print outside logging into the log, or silence it for JSON logs."""

import logging

from celery.apps import worker

from shared.monitoring.logs import is_json_logging


def route_logs() -> None:
    """Make everything that this process prints a line of the log."""
    # billiard's logger does not propagate, and Celery would give it another format.
    logging.getLogger("multiprocessing").handlers[:] = logging.root.handlers
    if is_json_logging():
        # Celery prints this from a signal handler, which must not log.
        worker.safe_say = lambda *_: None
