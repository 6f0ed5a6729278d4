"""The delivery: hands what is in the spool to the intake, in order, for as long as that takes."""

import contextlib
import logging
import threading
import time

import redis

from producer.outbox.ledger import LedgerError
from producer.outbox.outbox import Foreign, Item, Spool
from producer.outbox.submission import Away, Intake
from producer.recipe_choice import Menu
from shared.monitoring import metrics
from shared.monitoring.heartbeat import Component, HeartbeatRegistry

logger = logging.getLogger(__name__)

#: Seconds between two tries while store or broker is away: doubled from the first to the last.
FIRST_PAUSE, LAST_PAUSE = 0.25, 5.0

#: Seconds between two announcements.
ANNOUNCE_EVERY = 5.0

#: Seconds between two looks at whether the broker still knows what was delivered.
RECALL_EVERY = 10.0

#: Seconds between two looks into the spool where nobody called: another producer may have died over its own.
LOOK_EVERY = 2.0


class Delivery(threading.Thread):
    """The one thread that talks to store and broker, so that waiting for them holds up nothing else.

    A daemon: a call that hangs in a dead network must not keep the process from ending. What was not delivered is
    still in the spool at the next start.
    """

    def __init__(self, intake: Intake, spool: Spool, menu: Menu, name: str, detail: str) -> None:
        """`name`, `detail`: what the producer announces of itself."""
        super().__init__(name="delivery", daemon=True)
        self._intake = intake
        self._spool = spool
        self._menu = menu
        self._presence = (Component.PRODUCER, name)
        self._detail = detail
        self._register = HeartbeatRegistry(intake.client)
        self._called = threading.Event()
        self._ending = threading.Event()
        self._since = time.time()
        self._announced = float("-inf")
        self._recalled = float("-inf")
        self._away = False
        self._left_out = 0

    def call(self) -> None:
        """Say that something was spooled."""
        self._called.set()

    def end(self, timeout: float) -> None:
        """Deliver what waits unless store or broker is away, leave, end; return after `timeout` seconds at most."""
        self._ending.set()
        self._called.set()
        self.join(timeout)

    def run(self) -> None:
        """Deliver until told to end."""
        self._announce()
        with contextlib.suppress(Away):  # the first photo finds out
            self._intake.warm()
        while (item := self._next()) or not self._ending.is_set():
            if item is None:
                self._recall()
                self._called.wait(LOOK_EVERY)
            elif not self._deliver(item):
                break
            self._announce()
        with contextlib.suppress(redis.RedisError):  # the announcement runs out by itself
            self._register.remove(*self._presence)

    def _next(self) -> Item | None:
        self._called.clear()  # before the look, so that what happens meanwhile asks for another
        self._menu.look()
        if self._menu.paused:
            return None
        while True:
            try:
                return self._spool.first(after=self._left_out)
            except Foreign as foreign:
                logger.warning("%s", foreign)
                self._left_out = foreign.number
            except LedgerError as error:
                logger.warning("%s", error)
                return None

    def _deliver(self, item: Item) -> bool:
        """Try until an item is through; False where the end came first."""
        pause = FIRST_PAUSE
        while True:
            try:
                self._hand_in(item)
            except (Away, LedgerError) as away:
                if not self._away:
                    metrics.count_fault("away")
                    logger.warning("%s Photos wait in the spool and go out when it is back.", away)
                self._away = True
                if self._ending.wait(pause):
                    return False
                pause = min(2 * pause, LAST_PAUSE)
                continue
            except Exception:  # a bug must not keep the next guest waiting; a restart tries this one again
                metrics.count_fault("bug")
                logger.exception("%s was left out.", item.file)
                self._left_out = item.number
            else:
                if self._away:
                    logger.warning("Store and broker are back.")
                self._away = False
            return True

    def _hand_in(self, item: Item) -> None:
        if item.job is None:
            self._intake.tell_refused(item.file, item.reason)
        else:
            taken = self._intake.take(item.job, self._spool.jpeg(item))
            logger.info("%s: job %s %s", item.file, taken.job.id, taken.outcome, extra={"job": taken.job.id})
        self._spool.delivered(item)

    def _recall(self) -> None:
        if time.monotonic() - self._recalled < RECALL_EVERY:
            return
        self._recalled = time.monotonic()
        try:
            if count := self._intake.recall():
                logger.warning("The broker had forgotten %d of the jobs; they are submitted again.", count)
        except (Away, LedgerError) as away:  # another time
            logger.debug("%s", away)

    def _announce(self) -> None:
        if time.monotonic() - self._announced < ANNOUNCE_EVERY:
            return
        self._announced = time.monotonic()
        with contextlib.suppress(redis.RedisError):  # nobody to tell
            state = "paused" if self._menu.paused else "watching"
            self._register.announce(*self._presence, state, self._detail, since=self._since)
