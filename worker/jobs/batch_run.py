"""A sitting: jobs of one recipe that a worker dreams one after the other, or together, and each for itself."""

import contextlib
import logging
import time
from collections.abc import Callable

from celery.exceptions import SoftTimeLimitExceeded

from shared.broker.client import BROKER_UNAVAILABLE
from shared.recipe.canvas import Canvas, scale_to_long_side
from shared.storage.store import StoreError
from worker.dreamer import Dreamer, DreamResult, Frame, Pixels
from worker.jobs.execution import JobExecution
from worker.jobs.lease import LeaseLost

logger = logging.getLogger(__name__)

#: A job that is dreamt, and its photo.
FetchedJob = tuple[JobExecution, Pixels]


class BatchRun:
    """Dreams jobs with a dreamer, and has something done between the frames."""

    def __init__(self, dreamer: Dreamer, between_frames: Callable[[], None]) -> None:
        """between: its time is not the dreams'. What it raises ends the sitting."""
        self._dreamer = dreamer
        self._between_frames = between_frames

    def run(self, executions: list[JobExecution]) -> None:
        """Dream them: in one ascent those that have one size on the canvas. Raises what no attempt can end by."""
        sizes: dict[Canvas, list[FetchedJob]] = {}
        for attempt in executions:
            with attempt.end_on_error():
                if (photo := attempt.fetch_photo()) is not None:
                    size = scale_to_long_side(photo.shape[1], photo.shape[0], attempt.job.recipe.canvas)
                    sizes.setdefault(size, []).append((attempt, photo))
        for those in sizes.values():
            while those:
                # Powers of two, for each number of photos is compiled anew.
                count = 1 << (len(those).bit_length() - 1)
                self._run_group(those[:count])
                del those[:count]

    def _run_group(self, fetched_jobs: list[FetchedJob]) -> None:
        if len(fetched_jobs) == 1:
            self._run_single(*fetched_jobs[0])
            return
        try:
            dreams = self._dream_batch(fetched_jobs)
        except LeaseLost:
            for attempt, _ in fetched_jobs:
                with attempt.end_on_error():
                    raise
            return
        except (SoftTimeLimitExceeded, StoreError, *BROKER_UNAVAILABLE):
            raise
        except Exception as error:  # for which one of them may be the reason, or memory
            logger.info("%d jobs could not be dreamt together, so each is dreamt alone: %s", len(fetched_jobs), error)
            for attempt, photo in fetched_jobs:
                self._run_single(attempt, photo)
            return
        for (attempt, _), dreamt in zip(fetched_jobs, dreams, strict=True):
            with attempt.end_on_error():
                attempt.publish(dreamt)

    def _run_single(self, execution: JobExecution, photo: Pixels) -> None:
        job = execution.job

        def on_frame(frame: Frame) -> None:
            execution.offer_frame(frame)
            self._run_between_frames([execution], frame)

        with execution.end_on_error():
            with execution.publish_frames():
                dreamt = self._dreamer.dream(photo, job.recipe, seed=job.seed, on_frame=on_frame)
            execution.publish(dreamt)

    def _dream_batch(self, fetched_jobs: list[FetchedJob]) -> list[DreamResult]:
        attempts = [attempt for attempt, _ in fetched_jobs]

        def on_frame(index: int, frame: Frame) -> None:
            if all(attempt.is_lost for attempt in attempts):
                raise LeaseLost
            if not attempts[index].is_lost:
                attempts[index].offer_frame(frame)
            self._run_between_frames(attempts, frame)

        with contextlib.ExitStack() as stack:
            for attempt in attempts:
                stack.enter_context(attempt.publish_frames())
            return self._dreamer.dream_batch(
                [photo for _, photo in fetched_jobs],
                attempts[0].job.recipe,
                seeds=[attempt.job.seed for attempt in attempts],
                on_frame=on_frame,
            )

    def _run_between_frames(self, executions: list[JobExecution], frame: Frame) -> None:
        if frame.fraction == 1:  # the dream is done, and wants to be published
            return
        began = time.perf_counter()
        self._between_frames()
        for attempt in executions:
            attempt.exclude_from_dream_time(time.perf_counter() - began)
