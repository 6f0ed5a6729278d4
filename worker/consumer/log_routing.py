"""The voice: what Celery and its pool say past the log goes into it, or is not said where a program reads along."""

import logging

from celery.apps import worker

from shared.monitoring.logs import is_json_logging


def route_logs() -> None:
    """Let everything that this process says be a line of the log."""
    # billiard keeps its logger to itself, and Celery would give it a form of its own.
    logging.getLogger("multiprocessing").handlers[:] = logging.root.handlers
    if is_json_logging():
        # Said out of a signal handler, where nothing can be logged.
        worker.safe_say = lambda *_: None
