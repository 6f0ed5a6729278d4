"""The gate: what does not ask for a dream goes no further than here, is counted, and costs one line of the log.

Whoever can write to the broker can put anything into a lane; left to itself, a worker ends over what is not JSON.
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

#: What goes wrong with a broker, not with a message; and that there is none.
_BROKER_ERRORS = (redis.RedisError, OSError, Empty)


def install_message_filter(settings: Settings) -> None:
    """Let through only messages that ask for a dream, in every connection that this process makes to a queue."""
    client = connect(settings.broker)

    def reject(reason: RejectionReason) -> None:
        logger.warning("a message was rejected: it %s", reason)
        metrics.count_unreadable("message")
        with suppress(redis.RedisError):
            count_rejection(client, reason)

    class FilteringQoS(transport.QoS):  # type: ignore[misc]
        """What was handed out and has not ended; what is lost goes back to its lane."""

        def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
            """Give one back to its lane; drop what is none."""
            with self.channel.conn_or_acquire(client) as client:
                kept = client.hget(self.unacked_key, tag)
            if kept is None or _is_valid_delivery(kept):
                super().restore_by_tag(tag, client, leftmost)
                return
            reject(RejectionReason.UNREADABLE_DELIVERY)
            with self.pipe_or_acquire() as pipe:
                self._remove_from_indices(tag, pipe).execute()

    class FilteringChannel(transport.Channel):  # type: ignore[misc]
        """What reads the lanes."""

        QoS = FilteringQoS
        _message_parsed = False

        def basic_consume(self, queue: str, *arguments: Any, **named: Any) -> Any:
            """Read a lane, each message through the gate."""
            consumed = super().basic_consume(queue, *arguments, **named)
            deliver: Callable[[Any], Any] = self.connection._callbacks[queue]

            def filter_message(raw: Any) -> Any:
                self._message_parsed = True
                reason = find_rejection(raw)
                return reject(reason) if reason else deliver(raw)

            self.connection._callbacks[queue] = filter_message
            return consumed

        def _brpop_read(self, **options: Any) -> Any:
            self._message_parsed = False
            try:
                return super()._brpop_read(**options)
            except _BROKER_ERRORS:
                raise
            except Exception:
                if self._message_parsed:  # it was a message, and this is a fault of another kind
                    raise
                reject(RejectionReason.NOT_JSON)
                return True

    transport.Transport.Channel = FilteringChannel


def _is_valid_delivery(unacked_entry: bytes) -> bool:
    """Tell whether what is kept of a delivery is a message that asks for a dream, with its way back."""
    try:
        message, exchange, route = loads(unacked_entry)
    except Exception:  # kombu's types raise what they like
        return False
    return find_rejection(message) is None and isinstance(exchange, str) and isinstance(route, str)
