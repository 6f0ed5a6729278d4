"""One attempt at a claimed job: fetch its photo, publish frames and dream, and end it exactly once."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared.broker.client import BROKER_OUTAGE, describe_error
from shared.errors import ArtDreamError
from shared.jobs.events import Stage, Stages
from shared.jobs.leftovers import delete_leftovers
from shared.jobs.table import Claim, JobTable
from shared.monitoring import metrics
from shared.monitoring.stage_timer import StageTimer, record_stage, time_stage
from shared.monitoring.tracing import NO_TRACER, SpanName, Tracer
from shared.provenance.signing import ManifestSigner
from shared.provenance.statement import Statement, get_program
from shared.recipe.recipe import Recipe
from shared.storage.deletion import has_tombstone
from shared.storage.object_names import (
    dream_name,
    frames_prefix,
    photo_name,
    sidecar_name,
    thumb_name,
)
from shared.storage.sidecar import Sidecar, Visibility, read_sidecar
from shared.storage.store import Store, StoreError
from worker.consumer.time_limit import TaskInterrupted, raise_if_interrupted
from worker.dreamer import DreamResult, Frame, Pixels
from worker.jobs.attempt_trace import AttemptTrace
from worker.jobs.frames import FramePublisher, encode_jpeg, encode_thumbnail
from worker.jobs.job_photo import JobPhoto
from worker.jobs.lease import LeaseKeeper, LeaseLost
from worker.jobs.retry import RetryPolicy

if TYPE_CHECKING:
    from worker.jobs.moderation import JobModeration

logger = logging.getLogger(__name__)


class JobExecution:
    """Runs one claimed job until it is completed, failed, cancelled or released. Store and broker calls are retried."""

    def __init__(
        self,
        claim: Claim,
        table: JobTable,
        store: Store,
        retry_policy: RetryPolicy,
        moderation: "JobModeration | None" = None,
        signer: ManifestSigner | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        """moderation: scores the pictures of this job, whose claim was not announced; None: nothing is scored. signer:
        signs the dream, if there is one. tracer: records the spans of this attempt.
        """
        self.job = claim.job
        #: The recipe that is dreamt: the job's, unless that is a candidate that cannot be dreamt.
        self.recipe = claim.job.recipe
        #: Context manager that renews the lease.
        self.lease_keeper = LeaseKeeper(table, claim)
        #: Whether an ascent with its photo has begun, alone or with others.
        self.has_begun = False
        #: Whether the job has ended, in whatever way.
        self.ended = False
        #: Whether it has ended with a dream.
        self.completed = False
        #: Whether it was released for another worker.
        self.released = False
        #: How often it was handed back before because of an error.
        self.hand_backs = claim.hand_backs
        self._claim = claim
        self._table = table
        self._store = store
        self._retry = retry_policy.retry
        self._signer = signer
        self._trace = AttemptTrace(tracer, claim, table)
        self._photo = JobPhoto(claim.job, store, retry_policy, self.lease_keeper)
        #: When the last stage ended, in epoch seconds.
        self._stage_ended_at = time.time()
        self._stages: dict[Stage, float] = dict(claim.job.stages)
        self._moderation = moderation
        self._visibility = claim.visibility
        self._is_published = False
        self._frame_publisher: FramePublisher | None = None
        self._dream_timer: StageTimer | None = None

    @property
    def _current_version(self) -> Recipe | None:
        """The recipe to dream instead; None if the job has no candidate, or this attempt dreams it no more."""
        current = self.job.comparison.current if self.job.comparison else None
        return None if self.recipe == current else current

    @property
    def is_lost(self) -> bool:
        """Whether the lease is known to be lost: the job was cancelled, or another worker has claimed it."""
        return self.lease_keeper.is_lost

    @contextmanager
    def end_on_error(self) -> Iterator[None]:
        """End this job if the block raises an error that belongs to it.

        Re-raises BROKER_OUTAGE, TaskInterrupted and a StoreError that is not permanent, which concern the whole
        worker.
        """
        try:
            yield
        except (TaskInterrupted, *BROKER_OUTAGE):
            raise
        except StoreError as error:
            raise_if_interrupted(error)
            if not error.is_permanent:
                raise
            self.fail(str(error), "expected")
        except LeaseLost:
            logger.info("job %s was cancelled or taken over by another worker; its dream was stopped", self.job.id)
            self._end_cancelled()
        except ArtDreamError as error:
            raise_if_interrupted(error)
            self.fail(str(error), "expected")
        except Exception as error:
            raise_if_interrupted(error)
            logger.exception("job %s met a fault in the worker", self.job.id)
            self.fail(f"The worker met a fault: {type(error).__name__}. Its log has the details.", "bug")

    def fetch_photo(self) -> Pixels | None:
        """Return the photo, (height, width, 3) uint8; None if an earlier attempt had published the dream.

        It is the working photo if that is large enough for the recipe's canvas. If the dream was published, the job is
        completed with it. A photo that is scored is announced only then. Raises LeaseLost if the dream was deleted, and
        ArtDreamError if the photo is missing or damaged.
        """
        if self._retry(lambda: has_tombstone(self._store, self.job.id)):  # and a wiped broker does not know
            self._retry(lambda: self._table.delete(self.job.id, self.job.photo_id))
            raise LeaseLost
        if sidecar := self._find_published_sidecar():
            self.complete(sidecar)
            return None
        self._stages[Stage.QUEUE] = self._claim.queued_seconds
        record_stage(self.job.id, Stage.QUEUE, self._claim.queued_seconds)
        self._trace.record_queue()
        with self._time_stage(Stage.FETCH):
            photo = self._photo.load(self.recipe)
            if self._moderation:
                self._moderation.look_at("photo", photo)
                if not self._retry(self._announce_start):
                    raise LeaseLost
            return photo

    def fall_back(self, reason: object) -> bool:
        """Dream the current version of the recipe instead of the candidate; False if the job has no candidate.

        reason: why the candidate cannot be dreamt, for the log. A candidate must not cost a guest the dream.
        """
        current = self._current_version
        if current is None:
            return False
        logger.warning(
            "job %s: version %d of “%s” cannot be dreamt, so its guest gets version %d: %s",
            *(self.job.id, self.recipe.version, self.recipe.name, current.version, reason),
        )
        self.recipe = current
        return True

    def give_up_candidate(self) -> bool:
        """Release a candidate's job, so that the next attempt dreams the current version; False if it is none."""
        if self._current_version is None:
            return False
        self._retry(lambda: self.release(is_attempt=True))
        return True

    def load_full_photo(self) -> Pixels:
        """Return the photo in full, (height, width, 3) uint8, while it is dreamt; not counted as dreaming.

        Raises LeaseLost, and ArtDreamError if the photo is damaged.
        """
        started = time.perf_counter()
        photo = self._photo.load_full()
        seconds = time.perf_counter() - started
        self._stages[Stage.FETCH] += seconds
        self.exclude_from_dream_time(seconds)
        return photo

    @contextmanager
    def publish_frames(self) -> Iterator[None]:
        """Publish the frames that are offered during the block, its ascent, and time it as the dream stage."""
        self.has_begun = True
        if self.recipe != self.job.recipe:
            self._delete_frames()
        publisher = FramePublisher(self._store, self._announce_frame, self.job.id, self._may_frame_be_seen)
        with (
            self._time_stage(Stage.DREAM) as self._dream_timer,
            publisher as self._frame_publisher,
        ):
            yield

    def offer_frame(self, frame: Frame) -> None:
        """Publish a frame in the background. Raises LeaseLost."""
        if self.is_lost:
            raise LeaseLost
        if self._frame_publisher:
            self._frame_publisher.offer(frame)

    def exclude_from_dream_time(self, seconds: float) -> None:
        """Subtract seconds that were spent on another job from the dream stage."""
        if self._dream_timer:
            self._dream_timer.excluded_seconds += seconds

    def publish(self, dream: DreamResult) -> Sidecar:
        """Write the dream, its thumbnail and its sidecar to the store, and return the sidecar. Raises LeaseLost."""
        with self._time_stage(Stage.PUBLISH):
            if self._moderation:
                self._moderation.look_at("dream", dream.pixels)
            completed_at = time.time()  # the dream's file and the sidecar state the same day, also around midnight
            statement = Statement.of_recipe(
                self.recipe,
                seed=self.job.seed,
                weights=dream.weights_sha256,
                created_at=completed_at,
                job_id=self.job.id,
            )
            data = encode_jpeg(dream.pixels, statement=statement, signer=self._signer)
            thumb = encode_thumbnail(dream.pixels)
            # A worker that was suspended must not overwrite what its successor published.
            self._retry(self.lease_keeper.require_lease)
            self._retry(lambda: self._store.put(dream_name(self.job.id), data))
            self._retry(lambda: self._store.put(thumb_name(self.job.id), thumb))
        sidecar = Sidecar(
            job_id=self.job.id,
            photo_id=self.job.photo_id,
            photo=photo_name(self.job.photo_id),
            dream=dream_name(self.job.id),
            recipe=self.recipe,
            seed=self.job.seed,
            network=self.recipe.network,
            weights=dream.weights_sha256,
            precision=dream.precision,
            artworks=dream.artworks,
            verdicts=dream.class_probabilities,
            critic=dream.critic,
            place=dream.map_point,
            people_seen=dream.people_seen,
            moderation=self._moderation.scores if self._moderation else None,
            program=get_program(),
            size=(dream.pixels.shape[1], dream.pixels.shape[0]),
            stages=self._stages,
            completed_at=completed_at,
            standing=Visibility.HELD if self._needs_approval else self._visibility,
        )
        self._write_sidecar(sidecar)
        return sidecar

    def fail(self, reason: str, kind: str) -> None:
        """End the job with a reason. kind: label of the fault in the metrics."""
        self._mark_ended()
        metrics.count_fault(kind)
        arrived_at = self._trace.find_arrival()
        if self._retry(lambda: self._table.fail(self._claim, reason)):
            metrics.count_job("failed")
            logger.warning("job %s failed: %s", self.job.id, reason)
            self._trace.end("failed", arrived_at)
            self._delete_leftovers()

    def release(self, *, count: bool = False, is_attempt: bool = False) -> bool:
        """Release the job for another worker; False if the lease was lost before. Raises RedisError.

        count: whether it counts as one of MAX_HAND_BACKS. is_attempt: whether it counts as one of MAX_ATTEMPTS.
        """
        self.released = self._table.release(self._claim, count=count, is_attempt=is_attempt)
        self._mark_ended()
        self._trace.end("released" if self.released else "lost")
        return self.released

    def complete(self, sidecar: Sidecar) -> None:
        """Record the completion, which appends its event; a job that was cancelled meanwhile is cleaned up instead."""
        self._mark_ended()
        arrived_at = self._trace.find_arrival()
        visibility = self._retry(
            lambda: self._table.complete(
                self._claim,
                sidecar.to_completed_event(),
                hold=self._needs_approval,
                is_replaced=sidecar.recipe.digest != self.job.recipe.digest,
            )
        )
        if visibility is None:
            logger.info("job %s was cancelled or taken over by another worker; its dream is not announced", self.job.id)
            self._end_cancelled()
            return
        self.completed = True
        self._trace.record(SpanName.ANNOUNCE, self._stage_ended_at, time.time())
        self._trace.end("completed", arrived_at)
        metrics.count_job("completed")
        logger.info("job %s completed: %s", self.job.id, _format_stages(sidecar.stages))
        if visibility is Visibility.HELD and sidecar.standing is Visibility.SHOWN:
            # Approval was switched on meanwhile, or the last frames were held.
            scores = self._moderation.scores if self._moderation and self._needs_approval else sidecar.moderation
            self._write_sidecar(sidecar.model_copy(update={"standing": visibility, "moderation": scores}))
            self._delete_leftovers()

    def _mark_ended(self) -> None:
        """Record that the job has ended, and free its photos: the execution may outlive it by a batch job's dream."""
        self.ended = True
        self._photo.drop()

    def _end_cancelled(self) -> None:
        """End a job whose lease is lost; if it was cancelled or deleted, delete what was published."""
        self._mark_ended()
        self._trace.end("lost")
        metrics.count_job("cancelled")
        self._delete_leftovers()

    @contextmanager
    def _time_stage(self, stage: Stage) -> Iterator[StageTimer]:
        """Measure the block as a stage, and trace it, unless it raises."""
        started_at = time.time()
        with time_stage(self.job.id, self._stages, stage) as timer:
            yield timer
        self._stage_ended_at = started_at + self._stages[stage] + timer.excluded_seconds
        self._trace.record(SpanName(stage), started_at, self._stage_ended_at)

    def _delete_leftovers(self) -> None:
        """Delete what was published of a job that failed, was cancelled or deleted, and so is nobody else's.

        What the store does not delete now, a display deletes later.
        """

        def delete() -> None:
            delete_leftovers(self._table, self._store, self.job.id)

        try:
            if self._is_published:  # a wiped broker would show it
                self._retry(delete)
            else:
                delete()
        except (StoreError, *BROKER_OUTAGE) as error:
            raise_if_interrupted(error)
            logger.warning("job %s has left objects in the store: %s", self.job.id, describe_error(error))

    def _delete_frames(self) -> None:
        """Delete the frames of an earlier try with another recipe, which would be in the clip. Best effort."""
        try:
            for frame in self._store.list_objects(frames_prefix(self.job.id)):
                self._store.delete(frame.name)
        except StoreError as error:
            raise_if_interrupted(error)
            logger.warning("job %s: frames of the candidate are still in the store: %s", self.job.id, error)

    def _announce_frame(self, frame: str, fraction: float) -> None:
        """Announce a stored frame, from the publisher's thread. It may have arrived after the job was cancelled."""
        if not self.lease_keeper.announce_frame(frame, fraction, hold=self._needs_approval):
            self._delete_leftovers()

    @property
    def _needs_approval(self) -> bool:
        """Whether the dream has to wait for the operator because of the scores of its pictures."""
        return self._moderation is not None and self._moderation.holds

    def _announce_start(self) -> bool:
        """Announce that the job was started, held if a picture of it asks for that; False if the claim is not valid.

        Raises RedisError.
        """
        visibility = self._table.announce_start(self._claim, hold=self._needs_approval)
        self._visibility = visibility or self._visibility
        return visibility is not None

    def _may_frame_be_seen(self, pixels: Pixels) -> bool:
        """Return whether a frame may be published, from the publisher's thread; hold the dream if it may not.

        Frames of a dream that is held already are not scored: guests see none of them. Raises RedisError.
        """
        if self._moderation is None or self._needs_approval or self._visibility is Visibility.HELD:
            return True
        if self._moderation.look_at("frames", pixels):
            return True
        self._announce_start()
        return False

    def _find_published_sidecar(self) -> Sidecar | None:
        """Return the sidecar of a dream that an earlier attempt published without completing the job."""
        sidecar = self._retry(lambda: read_sidecar(self._store, self.job.id))
        if sidecar and sidecar.standing is not Visibility.SHOWN:  # a wiped broker would show it
            self._retry(lambda: self._table.restore_holds([self.job.id]))
        return sidecar

    def _write_sidecar(self, sidecar: Sidecar) -> None:
        data = sidecar.model_dump_json(indent=1).encode()
        self._is_published = True
        self._retry(lambda: self._store.put(sidecar_name(sidecar.job_id), data))


def _format_stages(stages: Stages) -> str:
    return ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in stages.items())
