"""Broker pool: one client of the broker for the whole display, whose connections last."""

import threading

import redis

from shared.broker.client import connect
from shared.settings import Settings


class BrokerPool:
    """Keeps one client of the broker. Thread-safe: each command takes a free connection, or opens one.

    A connection that the broker has closed is opened again by the next command, as `connect` says.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._url, self._client = "", redis.Redis()

    def get(self) -> redis.Redis:
        """Return the client. Raises ArtDreamError if the settings have no broker."""
        url = self._settings.broker  # a stack that was restarted may listen on another port
        with self._lock:
            if url != self._url:
                self._url, self._client = url, connect(url)
            return self._client
