"""The delivery: hands settled files to the intake, one after the other, for as long as that takes."""

import contextlib
import logging
import queue
import threading
import time

import redis

from producer.convert import Photo
from producer.intake import Away, Intake
from producer.ledger import File
from producer.quarantine import shown
from producer.settling import Settled
from shared.presence import Part, Register
from shared.recipe import Recipe

logger = logging.getLogger(__name__)

#: Seconds between two tries while store or broker is away: doubled from the first to the last.
FIRST_PAUSE, LAST_PAUSE = 0.25, 5.0

#: Seconds between two announcements.
ANNOUNCE_EVERY = 5.0


class Delivery(threading.Thread):
    """The one thread that talks to store and broker, so that waiting for them holds up nothing else.

    A daemon: a call that hangs in a dead network must not keep the process from ending. What was not delivered is
    found again at the next start, because only what was delivered is in the ledger.
    """

    def __init__(self, intake: Intake, recipe: Recipe, name: str, detail: str) -> None:
        """`name`, `detail`: what the producer announces of itself."""
        super().__init__(name="delivery", daemon=True)
        self._intake = intake
        self._recipe = recipe
        self._presence = (Part.PRODUCER, name)
        self._detail = detail
        self._register = Register(intake.client)
        self._settled: queue.SimpleQueue[Settled] = queue.SimpleQueue()
        self._delivered: queue.SimpleQueue[File] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._since = time.time()
        self._announced = float("-inf")
        self._away = False
        self._in_hand = 0

    @property
    def backlog(self) -> int:
        """How many photos wait to be delivered, the one in hand included."""
        return self._settled.qsize() + self._in_hand

    def hand(self, settled: Settled) -> None:
        """Queue one file."""
        self._settled.put(settled)

    def delivered(self) -> list[File]:
        """Return the files that are through since the last call."""
        return [self._delivered.get() for _ in range(self._delivered.qsize())]

    def end(self, timeout: float) -> None:
        """Deliver what waits unless store or broker is away, leave, end; return after `timeout` seconds at most."""
        self._ending.set()
        self.join(timeout)

    def run(self) -> None:
        """Deliver until told to end."""
        self._announce()
        while not (self._ending.is_set() and self._settled.empty()):
            try:
                settled = self._settled.get(timeout=0.1)
            except queue.Empty:
                self._announce()
                continue
            self._in_hand = 1
            through = self._deliver(settled)
            self._in_hand = 0
            if not through:
                break
            self._announce()
        with contextlib.suppress(redis.RedisError):  # the announcement runs out by itself
            self._register.leave(*self._presence)

    def _deliver(self, settled: Settled) -> bool:
        """Try until a file is through; False where the end came first."""
        pause = FIRST_PAUSE
        while True:
            try:
                self._hand_in(settled)
            except Away as away:
                if not self._away:
                    logger.warning("%s Photos wait and go out when it is back.", away)
                self._away = True
                if self._ending.wait(pause):
                    return False
                pause = min(2 * pause, LAST_PAUSE)
                continue
            except Exception:  # a bug must not keep the next guest waiting; a restart tries this file again
                logger.exception("%s was left out.", shown(settled.file.path))
            else:
                if self._away:
                    logger.warning("Store and broker are back.")
                self._away = False
            self._delivered.put(settled.file)
            return True

    def _hand_in(self, settled: Settled) -> None:
        file = settled.file
        if not isinstance(settled.result, Photo):
            self._intake.refuse(file, settled.photo_id, str(settled.result))
            return
        taken = self._intake.take(settled.result, self._recipe, stages=settled.stages, file=file)
        times = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in taken.job.stages.items())
        logger.info("%s: job %s %s%s", shown(file.path), taken.job.id, taken.outcome, times and f" ({times})")

    def _announce(self) -> None:
        if time.monotonic() - self._announced < ANNOUNCE_EVERY:
            return
        self._announced = time.monotonic()
        with contextlib.suppress(redis.RedisError):  # nobody to tell
            self._register.announce(*self._presence, "watching", self._detail, since=self._since)
