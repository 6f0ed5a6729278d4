"""Photos of claimed jobs → dreams: fetched, grouped by canvas, and dreamt one by one or several in one ascent."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from shared.broker.client import BROKER_OUTAGE
from shared.errors import ArtDreamError
from shared.recipe.canvas import Canvas, scale_to_canvas
from shared.storage.store import StoreError
from worker.consumer.time_limit import TaskInterrupted, raise_if_interrupted
from worker.dreamer import Dreamer, DreamResult, Frame, Pixels
from worker.jobs.execution import JobExecution
from worker.jobs.job_photo import fills_canvas
from worker.jobs.lease import LeaseLost

logger = logging.getLogger(__name__)

#: A job that is running, and its photo.
FetchedJob = tuple[JobExecution, Pixels]


def fetch_photos(executions: list[JobExecution]) -> list[FetchedJob]:
    """Fetch the photos of jobs. A job whose photo cannot be fetched, or that needs no dream any more, ends here."""
    fetched_jobs: list[FetchedJob] = []
    for execution in executions:
        with execution.end_on_error():
            if (photo := execution.fetch_photo()) is not None:
                fetched_jobs.append((execution, photo))
    return fetched_jobs


def group_by_canvas(fetched_jobs: list[FetchedJob]) -> Iterator[list[FetchedJob]]:
    """Yield groups of jobs that fit into one ascent: photos of one size on the canvas.

    Their sizes are powers of two, because a network is compiled for each number of photos.
    """
    by_canvas: dict[Canvas, list[FetchedJob]] = {}
    for execution, photo in fetched_jobs:
        canvas = scale_to_canvas(photo.shape[1], photo.shape[0], execution.recipe.canvas)
        by_canvas.setdefault(canvas, []).append((execution, photo))
    for remaining in by_canvas.values():
        while remaining:
            count = 1 << (len(remaining).bit_length() - 1)
            yield remaining[:count]
            del remaining[:count]


def dream_group(
    dreamer: Dreamer, group: list[FetchedJob], between_frames: Callable[[], None]
) -> Iterator[tuple[JobExecution, DreamResult]]:
    """Dream a group, and yield each job that is still running with its dream.

    If the group cannot be dreamt together, each photo is dreamt alone: one of them may be the reason, or memory. A job
    whose photo in full cannot be loaded ends alone, and the others have their dreams.
    between_frames: called after each frame but the last; its time does not count as dreaming, and what it raises ends
    the group. Raises TaskInterrupted, StoreError and BROKER_OUTAGE; any other error ends the job it belongs to.
    """
    if len(group) == 1:
        yield from _dream_single(dreamer, *group[0], between_frames)
        return
    try:
        dreams = _dream_together(dreamer, group, between_frames)
    except (LeaseLost, StoreError):  # all of them are lost, or need the same object
        for execution, _ in group:
            with execution.end_on_error():
                raise
        return
    except (TaskInterrupted, *BROKER_OUTAGE):
        raise
    except Exception as error:
        raise_if_interrupted(error)
        logger.info("%d jobs could not be dreamt together, so each is dreamt alone: %s", len(group), error)
        for execution, photo in group:
            yield from _dream_single(dreamer, execution, photo, between_frames)
        return
    for (execution, _), dream in zip(group, dreams, strict=True):
        if isinstance(dream, DreamResult):
            yield execution, dream
            continue
        with execution.end_on_error():
            raise dream


def _dream_single(
    dreamer: Dreamer, execution: JobExecution, photo: Pixels, between_frames: Callable[[], None]
) -> Iterator[tuple[JobExecution, DreamResult]]:
    def on_frame(frame: Frame) -> None:
        execution.offer_frame(frame)
        _run_between_frames(between_frames, [execution], frame)

    def dream() -> DreamResult:
        is_large_enough = fills_canvas(photo, execution.recipe)
        return dreamer.dream(
            photo if is_large_enough else execution.load_full_photo(),
            execution.recipe,
            seed=execution.job.seed,
            on_frame=on_frame,
            load_full_photo=execution.load_full_photo,
        )

    result = None
    with execution.end_on_error():
        try:
            with execution.publish_frames():
                result = dream()
        except (TaskInterrupted, LeaseLost, StoreError, *BROKER_OUTAGE):
            raise
        except Exception as error:
            raise_if_interrupted(error)
            if not execution.fall_back(error):
                raise
            with execution.publish_frames():
                result = dream()
    if result is not None:
        yield execution, result


def _dream_together(
    dreamer: Dreamer, group: list[FetchedJob], between_frames: Callable[[], None]
) -> list[DreamResult | Exception]:
    """Dream a group in one ascent. Returns each job's dream, or the error for which its photo in full is missing."""
    executions = [execution for execution, _ in group]
    load_errors: dict[int, Exception] = {}

    def on_frame(index: int, frame: Frame) -> None:
        if all(execution.is_lost for execution in executions):
            raise LeaseLost
        if not executions[index].is_lost:
            executions[index].offer_frame(frame)
        _run_between_frames(between_frames, executions, frame)

    def load_full_photo(index: int) -> Pixels:
        execution, photo = group[index]
        try:
            return execution.load_full_photo()
        except (LeaseLost, ArtDreamError) as error:
            raise_if_interrupted(error)
            if isinstance(error, StoreError) and not error.is_permanent:
                raise
            load_errors[index] = error.with_traceback(None)  # which would keep the photos
            return photo  # without it, the others would have no dreams either

    with contextlib.ExitStack() as stack:
        for execution in executions:
            stack.enter_context(execution.publish_frames())
        dreams = dreamer.dream_batch(
            [photo for _, photo in group],
            executions[0].recipe,
            seeds=[execution.job.seed for execution in executions],
            on_frame=on_frame,
            load_full_photo=load_full_photo,
        )
    return [load_errors.get(index, dream) for index, dream in enumerate(dreams)]


def _run_between_frames(between_frames: Callable[[], None], executions: list[JobExecution], frame: Frame) -> None:
    if frame.fraction == 1:  # the dream is finished and has to be published
        return
    started_at = time.perf_counter()
    between_frames()
    for execution in executions:
        execution.exclude_from_dream_time(time.perf_counter() - started_at)
