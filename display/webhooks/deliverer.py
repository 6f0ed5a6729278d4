"""The deliverer: one thread follows the events, and one for each endpoint delivers its messages.

Each message is delivered at least once, always with the same id, by which its receiver ignores a repetition. It is
claimed in the broker before each attempt, so any number of deliverers may run. What remains:

- A deliverer that is killed after an endpoint has answered and before that is recorded: the message comes again.
- A broker that loses its memory: dreams are told again of which the store has no mark, so one that was delivered a
  moment before may come twice, with the same id. Failures that were not delivered yet are lost.
- Failures that happen while no deliverer runs, once the event stream (50,000 events) has forgotten them.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable

import redis
from redis.exceptions import RedisError

from display.pages.share_links import ShareLinks
from display.web.supervision import repeat_with_broker
from display.webhooks.follower import EventFollower
from display.webhooks.sender import DeliveryTiming, EndpointSender
from shared.broker.client import connect
from shared.errors import ArtDreamError
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.settings import Settings
from shared.storage.store import Store
from shared.webhooks.endpoints import Endpoint, Endpoints
from shared.webhooks.table import DeliveryTable

logger = logging.getLogger(__name__)

#: Seconds between two looks at the endpoints, and two heartbeats.
REFRESH_SECONDS = 2.0


def run(settings: Settings, stop: threading.Event, timing: DeliveryTiming | None = None) -> None:
    """Deliver webhooks until `stop` is set; while broker or store is unavailable, messages wait.

    Raises ArtDreamError if the store's address is invalid, or there is no key of the links.
    """
    Deliverer(settings, stop, timing or DeliveryTiming()).run()


class Deliverer:
    """Delivers for one installation."""

    def __init__(self, settings: Settings, stop: threading.Event, timing: DeliveryTiming) -> None:
        self._settings, self._stop, self._timing = settings, stop, timing
        self._store = Store(settings.store)
        ShareLinks(settings)  # raises if there is no key
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._started_at = time.time()
        #: By endpoint: its thread, and how to end it.
        self._senders: dict[Endpoint, tuple[threading.Thread, threading.Event]] = {}

    def run(self) -> None:
        """Deliver until `stop` is set."""
        logger.info("Delivering webhooks.")
        follower = self._start_thread("follower", self._stop, self._follow)
        self._repeat("Webhooks wait.", self._stop, self._supervise_senders)
        for _, stop in self._senders.values():
            stop.set()
        deadline = time.monotonic() + self._timing.attempt_seconds / 3
        for thread in (follower, *(thread for thread, _ in self._senders.values())):
            thread.join(max(0.0, deadline - time.monotonic()))  # daemons: a claim that is left expires
        with contextlib.suppress(RedisError, OSError, ArtDreamError), connect(self._settings.broker) as client:
            HeartbeatRegistry(client).remove(Component.WEBHOOKS, self._name)

    def _follow(self, client: redis.Redis) -> None:
        follower = EventFollower(client, self._store, delay=self._timing.delay_seconds)
        follower.catch_up()
        while not self._stop.is_set() and follower.follow(self._timing.poll_seconds):
            pass

    def _supervise_senders(self, client: redis.Redis) -> None:
        """Have one thread for each endpoint that is not disabled."""
        endpoints, registry = Endpoints(client, self._store), HeartbeatRegistry(client)
        while not self._stop.is_set():
            active = {endpoint for endpoint in endpoints.list_endpoints() if not endpoint.disabled}
            for endpoint in self._senders.keys() - active:
                self._senders.pop(endpoint)[1].set()
            for endpoint in active - self._senders.keys():
                stop = threading.Event()
                self._senders[endpoint] = self._start_sender(endpoint, stop), stop
            detail = f"{len(active)} endpoint{'' if len(active) == 1 else 's'}"
            registry.announce(Component.WEBHOOKS, self._name, "ready", detail, since=self._started_at)
            self._stop.wait(REFRESH_SECONDS)

    def _start_sender(self, endpoint: Endpoint, stop: threading.Event) -> threading.Thread:
        def deliver(client: redis.Redis) -> None:
            try:
                sender = EndpointSender(self._settings, endpoint, self._timing)
            except ArtDreamError as error:
                DeliveryTable(client).note_error(endpoint.id, str(error))
                raise
            while not stop.is_set():
                sender.deliver(client, stop)
                stop.wait(self._timing.poll_seconds)

        return self._start_thread(endpoint.id, stop, deliver)

    def _start_thread(self, name: str, stop: threading.Event, work: Callable[[redis.Redis], None]) -> threading.Thread:
        sentence = f"Webhooks wait ({name})."
        thread = threading.Thread(
            target=self._repeat, args=(sentence, stop, work), name=f"webhooks-{name}", daemon=True
        )
        thread.start()
        return thread

    def _repeat(self, sentence: str, stop: threading.Event, work: Callable[[redis.Redis], None]) -> None:
        repeat_with_broker(self._settings, stop, work, worker="the deliverer of webhooks", consequence=sentence)
