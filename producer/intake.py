"""The intake: the one door through which a photo gets into the store and the queue."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import redis

from producer.convert import Photo
from producer.ledger import File, Ledger, LedgerError
from producer.quarantine import set_aside, shown
from shared.broker import connect
from shared.errors import ArtDreamError
from shared.events import EventLog, Refused, Stage, Stages
from shared.jobs import Job, JobTable, Lane, State
from shared.queue import celery_app, submit
from shared.recipe import Recipe
from shared.settings import Settings
from shared.store import Store, StoreError, photo_name

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a file."""

    SUBMITTED = "submitted"
    KNOWN = "already known"
    REFUSED = "refused"


@dataclass(frozen=True)
class Taken:
    """A photo that has its job."""

    outcome: Outcome
    job: Job


class Away(ArtDreamError):
    """The store, the broker or the disk is away; the same call may be tried again."""


class Intake:
    """Store, queue and ledger of one installation. Every call may be repeated; use it from one thread."""

    def __init__(self, settings: Settings) -> None:
        """Raises ArtDreamError where the settings name no broker or the store cannot be opened."""
        self._data = settings.data
        self.client = connect(settings.broker)
        self._table = JobTable(self.client)
        self._events = EventLog(self.client)
        self._app = celery_app(settings)
        self._store = Store(settings.store)
        self.ledger = Ledger(settings.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the broker and the ledger."""
        self.ledger.close()
        self._app.close()
        self.client.close()

    def take(
        self,
        photo: Photo,
        recipe: Recipe,
        *,
        seed: int = 0,
        lane: Lane = Lane.LIVE,
        stages: Stages | None = None,
        file: File | None = None,
    ) -> Taken:
        """Put a photo in the store, submit its job, mark the ledger, in this order. Raises Away.

        A job that is on its way or done is left alone; one that failed is taken up again.
        `stages`: seconds spent so far. `file`: where the photo came from, to be known from now on.
        """
        job = Job(photo_id=photo.photo_id, recipe=recipe, seed=seed, lane=lane)
        outcome = Outcome.KNOWN
        with _reaching():
            state = self._table.state(job.id)
            if state in (None, State.ACCEPTED, State.FAILED):
                started = time.perf_counter()
                self._store.put(photo_name(photo.photo_id), photo.jpeg)
                spent = {**(stages or {}), Stage.UPLOAD: time.perf_counter() - started}
                job = job.model_copy(update={"stages": spent})
                if submit(self._app, self._table, job) or state is State.ACCEPTED:
                    outcome = Outcome.SUBMITTED
            self.ledger.mark_submitted(photo.photo_id, job.id, file)
        return Taken(outcome, job)

    def refuse(self, file: File, photo_id: str, reason: str) -> None:
        """Set a file aside with a reason, tell everybody, mark the ledger. Raises Away."""
        with _reaching():
            note = set_aside(file.path, photo_id, reason, self._data)
            self._events.append(Refused(file=shown(file.path), reason=reason))
            self.ledger.mark_refused(photo_id, reason, file)
        logger.warning("%s %s. It was set aside: %s", shown(file.path), reason, note)


@contextmanager
def _reaching() -> Iterator[None]:
    """Turn what store, ledger, broker and disk raise while they are away into one sentence."""
    try:
        yield
    except (StoreError, LedgerError) as error:
        raise Away(str(error)) from error
    except (redis.RedisError, ArtDreamError) as error:
        cause = str(error.__cause__ or error).partition("\n")[0].rstrip(".")
        raise Away(f"The broker is away: {cause}.") from error
    except OSError as error:
        raise Away(f"The data folder cannot be written: {error.strerror or error}.") from error
