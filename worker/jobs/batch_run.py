"""A sitting: jobs of one recipe that a worker dreams one after the other, or together, and each for itself."""

import contextlib
import logging
import time
from collections.abc import Callable

from celery.exceptions import SoftTimeLimitExceeded

from shared.broker.client import BROKER_UNAVAILABLE
from shared.recipe.canvas import Canvas, scale_to_long_side
from shared.storage.store import StoreError
from worker.dreamer import Dreamer, Dreamt, Frame, Pixels
from worker.jobs.execution import Attempt
from worker.jobs.lease import Void

log = logging.getLogger(__name__)

#: A job that is dreamt, and its photo.
Sitter = tuple[Attempt, Pixels]


class Sitting:
    """Dreams jobs with a dreamer, and has something done between the frames."""

    def __init__(self, dreamer: Dreamer, between: Callable[[], None]) -> None:
        """between: its time is not the dreams'. What it raises ends the sitting."""
        self._dreamer = dreamer
        self._between = between

    def dream(self, attempts: list[Attempt]) -> None:
        """Dream them: in one ascent those that have one size on the canvas. Raises what no attempt can end by."""
        sizes: dict[Canvas, list[Sitter]] = {}
        for attempt in attempts:
            with attempt.ending():
                if (photo := attempt.photo()) is not None:
                    size = scale_to_long_side(photo.shape[1], photo.shape[0], attempt.job.recipe.canvas)
                    sizes.setdefault(size, []).append((attempt, photo))
        for those in sizes.values():
            while those:
                # Powers of two, for each number of photos is compiled anew.
                count = 1 << (len(those).bit_length() - 1)
                self._together(those[:count])
                del those[:count]

    def _together(self, those: list[Sitter]) -> None:
        if len(those) == 1:
            self._alone(*those[0])
            return
        try:
            dreams = self._ascended(those)
        except Void:
            for attempt, _ in those:
                with attempt.ending():
                    raise
            return
        except (SoftTimeLimitExceeded, StoreError, *BROKER_UNAVAILABLE):
            raise
        except Exception as error:  # for which one of them may be the reason, or memory
            log.info("%d jobs could not be dreamt together, so each is dreamt alone: %s", len(those), error)
            for attempt, photo in those:
                self._alone(attempt, photo)
            return
        for (attempt, _), dreamt in zip(those, dreams, strict=True):
            with attempt.ending():
                attempt.publish(dreamt)

    def _alone(self, attempt: Attempt, photo: Pixels) -> None:
        job = attempt.job

        def offer(frame: Frame) -> None:
            attempt.offer(frame)
            self._pause([attempt], frame)

        with attempt.ending():
            with attempt.dreaming():
                dreamt = self._dreamer.dream(photo, job.recipe, seed=job.seed, on_frame=offer)
            attempt.publish(dreamt)

    def _ascended(self, those: list[Sitter]) -> list[Dreamt]:
        attempts = [attempt for attempt, _ in those]

        def offer(index: int, frame: Frame) -> None:
            if all(attempt.lost for attempt in attempts):
                raise Void
            if not attempts[index].lost:
                attempts[index].offer(frame)
            self._pause(attempts, frame)

        with contextlib.ExitStack() as stack:
            for attempt in attempts:
                stack.enter_context(attempt.dreaming())
            return self._dreamer.dream_together(
                [photo for _, photo in those],
                attempts[0].job.recipe,
                seeds=[attempt.job.seed for attempt in attempts],
                on_frame=offer,
            )

    def _pause(self, attempts: list[Attempt], frame: Frame) -> None:
        if frame.fraction == 1:  # the dream is done, and wants to be published
            return
        began = time.perf_counter()
        self._between()
        for attempt in attempts:
            attempt.stood_aside(time.perf_counter() - began)
