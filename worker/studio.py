"""The studio: what one pool process does with one job, from the job table to the store."""

import contextlib
import io
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
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
from shared.jobtable import Claim, Held, JobTable
from shared.names import dream_name, photo_name, sidecar_name, thumb_name
from shared.settings import Settings
from shared.sidecar import Sidecar, Standing, read_sidecar
from shared.stopwatch import tell, timed
from shared.store import Store, StoreError
from worker.clipmaker import ClipMaker
from worker.dreamer import Dreamer, Frame
from worker.frames import FramePublisher, jpeg, thumbnail
from worker.hold import HandedBack, Hold, Void
from worker.names import died_here

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds between tries while the store or the broker is away; the last one repeats.
BACKOFF = (0.2, 0.5, 1, 2, 5)


class Studio:
    """One process's broker connection, store and way of working. Made after the fork, never before."""

    def __init__(self, settings: Settings, worker: str, dreamer: Dreamer) -> None:
        self._worker = worker
        self._dreamer = dreamer
        self._table = JobTable(connect(settings.broker), approval=settings.approval)
        self._store = Store(settings.store)
        self._clips = ClipMaker(self._store) if settings.clips else None
        self._patience = settings.time_limit_seconds

    def work(self, job_id: str) -> None:
        """Dream one job and publish it, or end it with a reason. Does nothing for a job that has ended.

        Raises only what a later delivery can mend: HandedBack where the worker was told to stop, or that the store or
        the broker stayed away.
        """
        started = time.monotonic()
        try:
            claim = self._insist(lambda: self._claimed(job_id))
        except Held as held:
            log.info("job %s is held: %s; this delivery is dropped", job_id, held)
            return
        if claim is None:
            log.info("job %s has ended already; its delivery is dropped", job_id)
            return
        try:
            with self._aside(), Hold(self._table, claim) as hold:
                if self._insist(lambda: buried(self._store, job_id)):  # and the broker has forgotten it
                    self._insist(lambda: self._table.delete(job_id, claim.job.photo_id))
                    raise Void
                sidecar = self._published(claim.job) or self._dreamt(claim, hold)
        except (StoreError, *AWAY):
            with contextlib.suppress(*AWAY):  # then the claim runs out
                self._table.hand_back(claim)
            raise
        except Void:
            log.info("job %s was called off or taken over by another worker; its dream was broken off", job_id)
            metrics.ended("called off")
            self._clear(claim.job)
        except SoftTimeLimitExceeded:
            if time.monotonic() - started < self._patience:  # the worker has to stop
                self._insist(lambda: self._table.hand_back(claim))
                raise HandedBack from None
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
                if standing is Standing.HELD and sidecar.standing is Standing.SHOWN:  # approval was asked for meanwhile
                    self._put(sidecar.model_copy(update={"standing": standing}))
                if self._clips:
                    self._clips.offer(job_id)
            else:
                log.info("job %s was called off or taken over by another worker; its dream is not announced", job_id)
                metrics.ended("called off")
                self._clear(claim.job)

    def close(self) -> None:
        """Stop what goes on beside the dreams; takes a few seconds at most."""
        if self._clips:
            self._clips.close()

    def _aside(self) -> AbstractContextManager[object]:
        """Let clips wait while a dream goes on."""
        return self._clips.aside() if self._clips else contextlib.nullcontext()

    def _claimed(self, job_id: str) -> Claim | None:
        job = self._table.job(job_id)
        if job is None:
            return None
        try:
            return self._table.claim(job, self._worker)
        except Held as held:
            if not died_here(held.holder):
                raise
            self._table.take_back(job_id, holder=held.holder)
            return self._table.claim(job, self._worker)

    def _dreamt(self, claim: Claim, hold: Hold) -> Sidecar:
        """Fetch, dream, publish."""
        job, stages = claim.job, dict(claim.job.stages)
        stages[Stage.QUEUE] = claim.waited
        tell(job.id, Stage.QUEUE, claim.waited)
        with timed(job.id, stages, Stage.FETCH):
            photo = self._photo(job)

        with timed(job.id, stages, Stage.DREAM), FramePublisher(self._store, hold.announce, job.id) as frames:

            def offer(frame: Frame) -> None:
                hold.check()
                frames.offer(frame)

            dreamt = self._dreamer.dream(photo, job.recipe, seed=job.seed, on_frame=offer)
        with timed(job.id, stages, Stage.PUBLISH):
            data, thumb = jpeg(dreamt.pixels), thumbnail(dreamt.pixels)
            self._insist(hold.insist)  # one that was stopped meanwhile must not write over its successor's
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
        sidecar = self._insist(lambda: read_sidecar(self._store, job.id))
        if sidecar and sidecar.standing is not Standing.SHOWN:  # a broker that lost its memory would show it
            self._insist(lambda: self._table.remind([job.id]))
        return sidecar

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
