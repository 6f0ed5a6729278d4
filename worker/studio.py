"""The studio: what one pool process does with one job, from the job table to the store."""

import io
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from celery.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray
from PIL import Image

from shared import metrics
from shared.broker import AWAY, connect
from shared.erasure import buried, erase
from shared.errors import ArtDreamError
from shared.events import Stage, Stages
from shared.jobs import Job, State
from shared.jobtable import Claim, JobTable
from shared.names import dream_name, photo_name, sidecar_name, thumb_name
from shared.recipe import Recipe
from shared.settings import Settings
from shared.sidecar import Sidecar
from shared.stopwatch import tell, timed
from shared.store import Store, StoreError
from worker.clipmaker import ClipMaker
from worker.engine import Engine, Frame
from worker.frames import FramePublisher, jpeg, thumbnail
from worker.networks import Networks
from worker.references import References

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds between tries while the store or the broker is away; the last one repeats.
BACKOFF = (0.2, 0.5, 1, 2, 5)


class Void(Exception):
    """The claim holds no longer: the job was cancelled, or is another worker's by now."""


class Studio:
    """One process's broker connection, store and way of working. Made after the fork, never before."""

    def __init__(self, settings: Settings, worker: str) -> None:
        self._worker = worker
        self._table = JobTable(connect(settings.broker), approval=settings.approval)
        self._store = Store(settings.store)
        self._networks = Networks(settings.weights, self._store, settings.precision)
        self._engine = Engine(self._networks, References(self._store))
        self._clips = ClipMaker(self._store)
        self._patience = settings.time_limit_seconds

    def warm(self, recipe: Recipe) -> None:
        """Make ready for a recipe, so that its first photo waits for nothing. Raises ArtDreamError where it cannot."""
        self._engine.warm(recipe)
        try:
            self._networks.offer_maps()
        except StoreError as error:  # the display does without
            log.warning("The art map was not put into the store: %s", error)

    def work(self, job_id: str) -> None:
        """Dream one job and publish it, or end it with a reason. Does nothing for a job that has ended.

        Raises only what a later delivery can mend: the store or the broker stayed away.
        """
        claim = self._insist(lambda: self._table.claim(job_id, self._worker))
        if claim is None:
            log.info("job %s has ended already; its delivery is dropped", job_id)
            return
        try:
            with self._clips.aside():
                if self._insist(lambda: buried(self._store, job_id)):  # and the broker has forgotten it
                    self._insist(lambda: self._table.delete(job_id, claim.job.photo_id))
                    raise Void
                sidecar = self._published(claim.job) or self._dreamt(claim)
        except (StoreError, *AWAY):
            raise
        except Void:
            log.info("job %s was called off or taken over by another worker; its dream was broken off", job_id)
            metrics.ended("called off")
            self._clear(claim.job)
        except SoftTimeLimitExceeded:
            metrics.fault("time limit")
            self._fail(claim, f"The dream took longer than {self._patience} s.")
        except ArtDreamError as error:
            metrics.fault("expected")
            self._fail(claim, str(error))
        except Exception as error:
            metrics.fault("bug")
            log.exception("job %s met a fault in the worker", job_id)
            self._fail(claim, f"The worker met a fault: {type(error).__name__}. Its log has the details.")
        else:
            if standing := self._insist(lambda: self._table.complete(claim, sidecar.completion())):
                metrics.ended("completed")
                log.info("job %s completed: %s", job_id, _told(sidecar.stages))
                if standing != sidecar.standing:  # approval was asked for while it was dreamt
                    self._put(sidecar.model_copy(update={"standing": standing}))
                self._clips.offer(job_id)
            else:
                log.info("job %s was called off or taken over by another worker; its dream is not announced", job_id)
                metrics.ended("called off")
                self._clear(claim.job)

    def close(self) -> None:
        """Stop what goes on beside the dreams; takes a few seconds at most."""
        self._clips.close()

    def _dreamt(self, claim: Claim) -> Sidecar:
        """Fetch, dream, publish."""
        job, stages = claim.job, dict(claim.job.stages)
        stages[Stage.QUEUE] = claim.waited
        tell(job.id, Stage.QUEUE, claim.waited)
        with timed(job.id, stages, Stage.FETCH):
            photo = self._photo(job)

        void = threading.Event()

        def announce(frame: str, fraction: float) -> None:
            if not self._table.progress(claim, frame, fraction):
                void.set()

        with timed(job.id, stages, Stage.DREAM), FramePublisher(self._store, announce, job.id) as frames:

            def offer(frame: Frame) -> None:
                if void.is_set():
                    raise Void
                frames.offer(frame)

            dreamt = self._engine.dream(photo, job.recipe, seed=job.seed, on_frame=offer)
        with timed(job.id, stages, Stage.PUBLISH):
            data, thumb = jpeg(dreamt.pixels), thumbnail(dreamt.pixels)
            self._insist(lambda: self._store.put(dream_name(job.id), data))
            self._insist(lambda: self._store.put(thumb_name(job.id), thumb))
        sidecar = Sidecar(
            job_id=job.id,
            photo_id=job.photo_id,
            photo=photo_name(job.photo_id),
            dream=dream_name(job.id),
            recipe=job.recipe,
            seed=job.seed,
            network=job.recipe.network,
            weights=dreamt.weights,
            precision=dreamt.precision,
            artworks=dreamt.artworks,
            verdicts=dreamt.verdicts,
            place=dreamt.place,
            size=(dreamt.pixels.shape[1], dreamt.pixels.shape[0]),
            stages=stages,
            completed_at=time.time(),
            standing=claim.standing,
        )
        self._put(sidecar)
        return sidecar

    def _put(self, sidecar: Sidecar) -> None:
        data = sidecar.model_dump_json(indent=1).encode()
        self._insist(lambda: self._store.put(sidecar_name(sidecar.job_id), data))

    def _published(self, job: Job) -> Sidecar | None:
        """Return the sidecar of a dream that an earlier delivery published but did not live to announce."""
        text = self._insist(lambda: self._store.get(sidecar_name(job.id)))
        return Sidecar.model_validate_json(text) if text else None

    def _clear(self, job: Job) -> None:
        """Take back what was published of a job that was deleted meanwhile."""
        if self._insist(lambda: self._table.state(job.id)) is State.DELETED:
            self._insist(lambda: erase(self._store, job.id))

    def _photo(self, job: Job) -> NDArray[np.uint8]:
        """Return the job's photo, (height, width, 3)."""
        name = photo_name(job.photo_id)
        data = self._insist(lambda: self._store.get(name))
        if data is None:
            raise ArtDreamError(f"The photo {name} is no longer in the store.")
        try:
            with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
                return np.asarray(image.convert("RGB"))
        except OSError as error:
            raise ArtDreamError(f"The photo {name} in the store is damaged.") from error

    def _fail(self, claim: Claim, reason: str) -> None:
        if self._insist(lambda: self._table.fail(claim, reason)):
            metrics.ended("failed")
            log.warning("job %s failed: %s", claim.job.id, reason)

    def _insist(self, action: Callable[[], T]) -> T:
        """Do it, and again with growing pauses while the store or the broker is away, as long as a dream may take."""
        started, tries = time.monotonic(), 0
        while True:
            try:
                return action()
            except (StoreError, *AWAY) as error:
                if time.monotonic() - started > self._patience:
                    raise
                if tries == 0:
                    metrics.fault("away")
                    log.warning("waiting: %s", error)
                time.sleep(BACKOFF[min(tries, len(BACKOFF) - 1)])
                tries += 1


def _told(stages: Stages) -> str:
    return ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in stages.items())
