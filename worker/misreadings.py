"""Misreadings: messages that no worker understands, counted and told in one line where Celery drops them."""

import logging

from celery.signals import task_rejected, task_unknown
from celery.worker.consumer import consumer

from shared import metrics

#: What Celery logs of them, each with the whole message, and a traceback that leads into Celery.
_LOGGED = (
    consumer.UNKNOWN_FORMAT,
    consumer.UNKNOWN_TASK_ERROR,
    consumer.INVALID_TASK_ERROR,
    consumer.MESSAGE_DECODE_ERROR,
)

#: Letters of the reason that are told: whoever sent it may have made it long.
_LONGEST = 200


def count_misreadings() -> None:
    """Count, from now on, what is no task, no known one, or no message at all."""
    for signal in (task_rejected, task_unknown):
        signal.connect(_count, weak=False)
    consumer.logger.addFilter(_noticed)


def _count(**_: object) -> None:
    metrics.unreadable("message")


def _noticed(record: logging.LogRecord) -> bool:
    if record.msg in _LOGGED:
        if record.msg == consumer.MESSAGE_DECODE_ERROR:  # of these alone there is no signal
            _count()
        reason = repr(record.args[0] if isinstance(record.args, tuple) and record.args else "")[:_LONGEST]
        record.msg, record.args = "a message that is no job of ours was dropped: %s", (reason,)
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.exc_info = None
    return True
