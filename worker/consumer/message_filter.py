"""The message filter: rejects messages that are not valid dream tasks, counts them, and logs one line for each.

Any client of the broker can put anything into a lane, and an unfiltered worker ends at a message that is not JSON.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Any

import redis
from kombu.transport import redis as transport
from kombu.utils.json import loads

from shared.broker.client import connect
from shared.jobs.rejected_messages import RejectionReason, count_rejection
from shared.monitoring import metrics
from shared.settings import Settings
from worker.consumer.message_schema import find_rejection

logger = logging.getLogger(__name__)

#: Errors of the broker, not of a message; and Empty, if there is no message.
_BROKER_ERRORS = (redis.RedisError, OSError, Empty)


def install_message_filter(settings: Settings) -> None:
    """Filter the messages of every queue connection that this process opens, by replacing kombu's Redis channel."""
    client = connect(settings.broker)

    def reject(reason: RejectionReason) -> None:
        logger.warning("a message was rejected: it %s", reason)
        metrics.count_unreadable("message")
        with suppress(redis.RedisError):
            count_rejection(client, reason)

    class FilteringQoS(transport.QoS):  # type: ignore[misc]
        """Unacknowledged deliveries; those of a lost consumer go back to their lane."""

        def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
            """Put a delivery back into its lane; reject an invalid one."""
            with self.channel.conn_or_acquire(client) as client:
                entry = client.hget(self.unacked_key, tag)
            if entry is None or _is_valid_delivery(entry):
                super().restore_by_tag(tag, client, leftmost)
                return
            reject(RejectionReason.UNREADABLE_DELIVERY)
            with self.pipe_or_acquire() as pipe:
                self._remove_from_indices(tag, pipe).execute()

    class FilteringChannel(transport.Channel):  # type: ignore[misc]
        """Reads the lanes and delivers only valid messages."""

        QoS = FilteringQoS
        _message_parsed = False

        def basic_consume(self, queue: str, *arguments: Any, **options: Any) -> Any:
            """Consume a lane through the filter."""
            result = super().basic_consume(queue, *arguments, **options)
            deliver: Callable[[Any], Any] = self.connection._callbacks[queue]

            def filter_message(raw: Any) -> Any:
                self._message_parsed = True
                reason = find_rejection(raw)
                return reject(reason) if reason else deliver(raw)

            self.connection._callbacks[queue] = filter_message
            return result

        def _brpop_read(self, **options: Any) -> Any:
            self._message_parsed = False
            try:
                return super()._brpop_read(**options)
            except _BROKER_ERRORS:
                raise
            except Exception:
                if self._message_parsed:  # the message is JSON, so the error is of another kind
                    raise
                reject(RejectionReason.NOT_JSON)
                return True

    transport.Transport.Channel = FilteringChannel


def _is_valid_delivery(unacked_entry: bytes) -> bool:
    """Return whether the stored entry of a delivery is a valid message with the route back to its lane."""
    try:
        message, exchange, route = loads(unacked_entry)
    except Exception:  # kombu's decoders may raise anything
        return False
    return find_rejection(message) is None and isinstance(exchange, str) and isinstance(route, str)
