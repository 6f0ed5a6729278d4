"""The clip generator: makes the clips of finished dreams in the background, without delaying the next dream."""

import contextlib
import logging
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.appearance import Appearance
from shared.errors import ArtDreamError
from shared.jobs.clip_requests import ClipFormat
from shared.provenance.embedding import embed
from shared.provenance.signing import ManifestSigner
from shared.provenance.statement import Statement
from shared.recipe.canvas import scale_to_long_side
from shared.storage.deletion import delete_dream_objects, has_tombstone
from shared.storage.logo import load_logo
from shared.storage.object_names import (
    clip_name,
    motion_name,
    preview_name,
    sidecar_name,
    zoom_name,
)
from shared.storage.sidecar import Sidecar
from shared.storage.store import Store, StoreError
from worker.clips.animations import Morph, Zoom
from worker.clips.clip_formats import encode_clip_format
from worker.clips.dream_pictures import iter_dream_pictures, load_photo, read_first_object
from worker.clips.dreamt_video import MIN_PICTURES, DreamtVideo, choose_video_recipe, dream_video
from worker.clips.end_card import EndCard, WithEndCard
from worker.clips.guest_video import KeptPictures, load_video
from worker.clips.video_encoder import Animation, encode_mp4, encode_webp
from worker.clips.video_marks import MAX_ATTEMPTS, RENEW_INTERVAL_SECONDS, VideoMarks
from worker.dreamer import Dreamer, Pixels

logger = logging.getLogger(__name__)

#: Jobs that may wait for their clips; beyond that, the one that has waited longest gets none.
MAX_QUEUED_JOBS = 200

#: Jobs that may wait for their videos to be dreamt; beyond that, the oldest gets the clips of a photo.
MAX_QUEUED_VIDEOS = 20

#: Seconds without a job after which videos are looked for that other workers left.
IDLE_SECONDS = 60.0

#: Seconds between two looks for what guests ask for; they wait for it with the phone in their hand.
REQUEST_POLL_SECONDS = 1.0

#: Seconds that a video may be dreamt, without pauses; after that it gets the clips of a photo.
MAX_VIDEO_SECONDS = 1800.0

#: Pictures of a job that its clips show; of more frames, an even selection. Bounds the memory.
MAX_PICTURES = 12

#: Seconds without clips after the store was unavailable, and seconds after which a job gets none because of it.
STORE_RETRY_SECONDS, STORE_TIMEOUT_SECONDS = 15.0, 3600.0

#: Long side of these pictures in pixels: the most that a clip, the zoom, makes use of.
PICTURE_LONG_SIDE = 1350

#: Seconds that one clip pauses for dreams, in total, before it runs concurrently with them.
MAX_PAUSE_SECONDS = 60.0

#: Seconds that an ending process gives the current clip to finish.
CLOSE_TIMEOUT_SECONDS = 2.0

#: Niceness of the thread: about a tenth of a contended core. At 19 a busy worker would never finish a clip.
NICENESS = 10


#: A clip to make: its object name, its encoder and its pictures.
Clip = tuple[str, Callable[[Animation], bytes], Animation]


class ClipGenerator:
    """Makes the clips of completed jobs, one after the other, in a thread of its own.

    dreamer: dreams the videos of guests, whose clips they then are; without it, they get the clips of photos.
    get_appearance: returns how the event looks; if it has a title of its own, clips end with its card.
    take_request: takes what a guest asks for, a job and a format of its clip; None if nobody asks. It comes before all
    other clips. may_be_seen: returns whether moderation lets a picture be seen; a video with one that it does not gets
    the clips of a photo; None: nothing is moderated. max_pause_seconds: seconds that one clip pauses for dreams, in
    total. A video pauses for all of them, and for the clips of other jobs. signer: signs the videos, if there is one.

    The thread pauses while the process computes a dream. A clip that cannot be made, because a picture is damaged, is
    logged in one line and raises nothing; while the store is unavailable, jobs wait, for an hour at most. Jobs that are
    still queued when the process ends get no clips: clips are best effort. Their videos, which take minutes, are begun
    again by any worker without work.
    """

    def __init__(
        self,
        store: Store,
        dreamer: Dreamer | None = None,
        *,
        get_appearance: Callable[[], Appearance] = Appearance,
        take_request: Callable[[], tuple[str, ClipFormat] | None] = lambda: None,
        may_be_seen: Callable[[Pixels], bool] | None = None,
        max_pause_seconds: float = MAX_PAUSE_SECONDS,
        signer: ManifestSigner | None = None,
    ) -> None:
        self._store = store
        self._dreamer = dreamer
        self._get_appearance = get_appearance
        self._take_request = take_request
        self._may_be_seen = may_be_seen
        self._max_pause_seconds = max_pause_seconds
        self._signer = signer
        self._condition = threading.Condition()
        #: Jobs, and until when they wait for the store.
        self._queue: deque[tuple[str, float]] = deque(maxlen=MAX_QUEUED_JOBS)
        self._store_retry_at: float | None = None  # None: it was available; used by the thread alone
        self._queued_videos: deque[str] = deque()  # used by the thread alone
        self._video_marks = VideoMarks(store)
        self._current_video: str | None = None  # used by the thread alone
        self._active_dreams = 0
        self._closing = self._stopped = False
        self._thread = threading.Thread(target=self._run, name="clips", daemon=True)
        self._thread.start()

    def enqueue(self, job_id: str) -> None:
        """Queue a completed job for its clips, and return at once."""
        self._queue_until(job_id, time.monotonic() + STORE_TIMEOUT_SECONDS)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Pause the thread while the block computes a dream."""
        with self._condition:
            self._active_dreams += 1
        try:
            yield
        finally:
            with self._condition:
                self._active_dreams -= 1
                self._condition.notify_all()

    def close(self, timeout: float = CLOSE_TIMEOUT_SECONDS) -> bool:
        """Stop the thread, and return whether it has ended.

        timeout: seconds that the current clip may still take; then it is abandoned before its next picture. Clips of
        queued jobs are not made.
        """
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(timeout)
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        self._thread.join(CLOSE_TIMEOUT_SECONDS)
        return not self._thread.is_alive()

    def _queue_until(self, job_id: str, deadline: float) -> None:
        with self._condition:
            self._queue.append((job_id, deadline))
            self._condition.notify_all()

    def _run(self) -> None:
        _lower_thread_priority()
        with contextlib.suppress(_AbortedError):
            while self._wait_for_job():
                self._generate_queued_clips()
                if self._queued_videos:
                    self._make(self._generate_video_clips, self._queued_videos.popleft())

    def _wait_for_job(self) -> bool:
        """Wait for a job, or a video that another worker left; False when the process ends."""
        idle_since = time.monotonic()
        while True:
            with self._condition:
                has_job = self._condition.wait_for(
                    lambda: self._has_due_job() or self._queued_videos or self._closing,
                    timeout=min(REQUEST_POLL_SECONDS, IDLE_SECONDS),
                )
                if has_job:
                    return not self._closing
            self._serve_requests()
            if time.monotonic() - idle_since >= IDLE_SECONDS:
                self._adopt_videos()
                idle_since = time.monotonic()

    def _adopt_videos(self) -> None:
        """Queue the videos that other workers began or queued before they ended."""
        if self._dreamer is None:
            return
        try:
            self._queued_videos.extend(self._video_marks.list_abandoned()[:MAX_QUEUED_VIDEOS])
        except StoreError as error:
            logger.debug("videos that were left were not looked for: %s", error)

    def _generate_queued_clips(self) -> None:
        """Make the clips of all queued jobs, except those of videos, and before each what guests ask for."""
        self._serve_requests()
        while self._has_due_job() and not self._closing:
            job_id, deadline = self._queue.popleft()
            self._make(partial(self._generate_clips_or_wait, deadline), job_id)
            self._serve_requests()

    def _has_due_job(self) -> bool:
        """Return whether a job is queued, and the store was not unavailable just before."""
        return bool(self._queue) and (self._store_retry_at is None or time.monotonic() >= self._store_retry_at)

    def _serve_requests(self) -> None:
        """Make what guests ask for, unless a dream is computed: another process may have nothing to do."""
        while not (self._closing or self._active_dreams) and (request := self._take_request()):
            job_id, clip_format = request
            self._make(partial(self._generate_format, clip_format), job_id)

    def _generate_format(self, clip_format: ClipFormat, job_id: str) -> None:
        """Make and store a format of a job's clip. Raises ArtDreamError if the store or the clip prevents it."""
        sidecar, clip = self._load_sidecar(job_id), self._read_object(clip_name(job_id))
        throttle = self._make_throttle(self._max_pause_seconds)
        data = encode_clip_format(clip_format, clip, lambda animation: _ThrottledAnimation(animation, throttle))
        self._store_unless_deleted(sidecar, [(clip_format.object_name(job_id), data)])

    def _make(self, make: Callable[[str], None], job_id: str) -> None:
        try:
            make(job_id)
        except _AbortedError:
            raise
        except ArtDreamError as error:
            logger.warning("job %s has no clips: %s", job_id, error)
        except Exception:
            logger.exception("job %s has no clips: they met a fault in the worker", job_id)

    def _generate_clips_or_wait(self, deadline: float, job_id: str) -> None:
        """Make the clips of a job; if the store is unavailable, queue it again until its deadline."""
        try:
            self._generate_clips(job_id)
        except StoreError as error:
            if error.is_permanent or time.monotonic() >= deadline:
                raise
            level = logging.WARNING if self._store_retry_at is None else logging.DEBUG  # one line for an outage
            logger.log(level, "job %s has no clips yet, and waits for the store: %s", job_id, error)
            self._store_retry_at = time.monotonic() + STORE_RETRY_SECONDS
            self._queue_until(job_id, deadline)
        else:
            self._store_retry_at = None

    def _generate_clips(self, job_id: str) -> None:
        """Make and store the clips of a job. Raises ArtDreamError if the store or a picture prevents it.

        Those of a video are queued, except for the zoom. They are stored only once, because viewers keep them.
        """
        throttle = self._make_throttle(self._max_pause_seconds)
        throttle()
        sidecar = self._load_sidecar(job_id)
        pictures = self._load_pictures(sidecar, throttle)
        zoom: Clip = (zoom_name(job_id), encode_mp4, Zoom(pictures))
        if not self._has_video(sidecar):
            self._store_clips(sidecar, [*_make_morph_clips(job_id, pictures), zoom])
        elif self._store_clips(sidecar, [zoom]):
            self._video_marks.add(job_id)
            self._queued_videos.append(job_id)
            if len(self._queued_videos) > MAX_QUEUED_VIDEOS:
                oldest = self._load_sidecar(self._queued_videos.popleft())
                self._store_clips(oldest, self._make_morph_clips(oldest))
                self._video_marks.remove(oldest.job_id)

    def _make_morph_clips(self, sidecar: Sidecar) -> list[Clip]:
        """Return the clips of a photo."""
        pictures = self._load_pictures(sidecar, self._make_throttle(self._max_pause_seconds))
        return _make_morph_clips(sidecar.job_id, pictures)

    def _has_video(self, sidecar: Sidecar) -> bool:
        """Return whether a photo has a video that can be dreamt with its recipe."""
        can_dream = self._dreamer is not None and choose_video_recipe(sidecar.recipe) is not None
        return can_dream and self._store.exists(motion_name(sidecar.photo_id))

    def _generate_video_clips(self, job_id: str) -> None:
        """Dream a job's video, unless another worker does, and store it as the job's clips."""
        attempt = self._video_marks.begin(job_id)
        if not attempt:
            return
        self._current_video = job_id
        try:
            sidecar = self._load_sidecar(job_id)
            self._store_clips(sidecar, self._make_video_clips(sidecar, attempt))
        except (StoreError, _AbortedError) as error:
            if isinstance(error, StoreError) and error.is_permanent:
                raise  # and the attempt counts
            with contextlib.suppress(StoreError):  # then it counts, too
                self._video_marks.release(job_id)
            if isinstance(error, _AbortedError):
                raise
            logger.warning("job %s has no clips yet, and its video is begun again later: %s", job_id, error)
        except _TakenOverError:
            logger.info("job %s gets its clips from another worker, which has taken over its video", job_id)
        except Exception:
            self._video_marks.remove(job_id)
            raise
        else:
            self._video_marks.remove(job_id)
        finally:
            self._current_video = None

    def _make_video_clips(self, sidecar: Sidecar, attempt: int) -> list[Clip]:
        """Return the clips of a video; if it cannot be dreamt, or was begun too often, those of a photo."""
        try:
            if attempt > MAX_ATTEMPTS:
                raise ArtDreamError(f"Workers ended {MAX_ATTEMPTS} times while they dreamt it.")
            return self._dream_video(sidecar)
        except (StoreError, _AbortedError, _TakenOverError):
            raise
        except Exception as error:
            logger.warning(
                "job %s gets the clips of a photo, not of its video: %s",
                sidecar.job_id,
                str(error) or type(error).__name__,
                exc_info=None if isinstance(error, ArtDreamError) else error,
            )
            return self._make_morph_clips(sidecar)

    def _dream_video(self, sidecar: Sidecar) -> list[Clip]:
        """Dream a job's video. Raises ArtDreamError if that is impossible, or takes too long."""
        recipe = choose_video_recipe(sidecar.recipe)
        if self._dreamer is None or recipe is None:
            raise ArtDreamError("Its recipe dreams no videos.")
        dreaming_seconds, throttle_clip = 0.0, self._make_throttle(None)
        resumed_at = time.perf_counter()

        def throttle() -> None:
            throttle_clip()
            if self._current_video != sidecar.job_id:
                raise _TakenOverError

        def on_step() -> None:
            nonlocal dreaming_seconds, resumed_at
            dreaming_seconds += time.perf_counter() - resumed_at
            throttle()
            resumed_at = time.perf_counter()

        def on_picture() -> None:
            nonlocal resumed_at
            if dreaming_seconds > MAX_VIDEO_SECONDS:
                raise ArtDreamError(f"It took longer than {MAX_VIDEO_SECONDS / 60:.0f} minutes.")
            self._generate_queued_clips()
            resumed_at = time.perf_counter()

        data = self._read_object(motion_name(sidecar.photo_id))
        photo = load_photo(self._store, sidecar)
        video = load_video(data, photo, recipe.canvas)
        if len(video.pictures) < MIN_PICTURES:
            raise ArtDreamError("It is too short to show its dream.")
        self._require_moderation(video.pictures, throttle)
        dreams = dream_video(self._dreamer, video, recipe, seed=sidecar.seed, on_step=on_step, on_picture=on_picture)
        self._require_moderation(dreams, throttle)
        logger.info("job %s has its video dreamt, in %.1f s", sidecar.job_id, dreaming_seconds)
        return [
            (clip_name(sidecar.job_id), encode_mp4, DreamtVideo(video.pictures, dreams)),
            (preview_name(sidecar.job_id), encode_webp, DreamtVideo(video.pictures, dreams, stride=2, long_side=480)),
        ]

    def _require_moderation(self, pictures: KeptPictures, throttle: Callable[[], None]) -> None:
        """Raise ArtDreamError if one of the pictures of a video may not be seen before the operator approves."""
        if self._may_be_seen is None:
            return
        for number in range(len(pictures)):
            throttle()
            if not self._may_be_seen(pictures[number]):
                raise ArtDreamError("Moderation holds one of its pictures.")

    def _store_clips(self, sidecar: Sidecar, clips: Sequence[Clip]) -> bool:
        """Encode and store clips, and return whether their dream was not deleted meanwhile."""
        job_id, started_at = sidecar.job_id, time.perf_counter()
        encoded = (
            (name, encode(_ThrottledAnimation(animation, self._make_throttle(self._max_pause_seconds))))
            for name, encode, animation in self._add_end_card(job_id, clips)
        )
        if not self._store_unless_deleted(sidecar, encoded):
            return False
        logger.info("job %s has its clips, after %.1f s", job_id, time.perf_counter() - started_at)
        return True

    def _store_unless_deleted(self, sidecar: Sidecar, objects: Iterable[tuple[str, bytes]]) -> bool:
        """Store clips of a dream as they come, with its statement; return whether it was not deleted meanwhile."""
        job_id, statement = sidecar.job_id, Statement.of_sidecar(sidecar)
        for name, data in objects:
            if has_tombstone(self._store, job_id):
                break
            self._store.put(name, embed(data, statement, self._signer))
        if has_tombstone(self._store, job_id):  # perhaps since the last check
            delete_dream_objects(self._store, job_id)
            return False
        return True

    def _add_end_card(self, job_id: str, clips: Sequence[Clip]) -> Sequence[Clip]:
        """Return clips that end with the event's card, if it has one; the zoom has no end."""
        card = self._make_end_card()
        if card is None:
            return clips
        return [
            (name, encode, animation if name == zoom_name(job_id) else WithEndCard(animation, card))
            for name, encode, animation in clips
        ]

    def _make_end_card(self) -> EndCard | None:
        """Return the event's end card; None if the event has no title of its own, or the card nothing to show."""
        appearance = self._get_appearance()
        if not appearance.title:
            return None
        card = EndCard(appearance, load_logo(self._store, appearance.logo))
        return None if card.is_empty else card

    def _load_sidecar(self, job_id: str) -> Sidecar:
        try:
            return Sidecar.model_validate_json(self._read_object(sidecar_name(job_id)))
        except ValueError as error:
            raise ArtDreamError(f"{sidecar_name(job_id)} in the store is damaged.") from error

    def _load_pictures(self, sidecar: Sidecar, throttle: Callable[[], None]) -> list[NDArray[np.uint8]]:
        """Load the photo, the available frames and the dream, all of one size; at most MAX_PICTURES of them."""
        size = scale_to_long_side(*sidecar.size, min(PICTURE_LONG_SIDE, max(sidecar.size)))
        pictures = iter_dream_pictures(self._store, sidecar, MAX_PICTURES, throttle)
        return [np.asarray(picture.resize(size, Image.Resampling.LANCZOS)) for picture in pictures]

    def _read_object(self, name: str) -> bytes:
        return read_first_object(self._store, name)[1]

    def _make_throttle(self, max_pause_seconds: float | None) -> Callable[[], None]:
        """Return a function for one clip to call before each picture.

        The function blocks while a dream is computed, until the clip has used up its pause; None: as long as that
        takes. It raises _AbortedError when the process ends. Meanwhile it renews the mark of the current video, which
        also waits for the clips of other jobs.
        """
        remaining = math.inf if max_pause_seconds is None else max_pause_seconds

        def throttle() -> None:
            nonlocal remaining
            is_paused = True
            while is_paused:
                with self._condition:
                    paused_at = time.monotonic()
                    self._condition.wait_for(
                        lambda: self._stopped or not self._active_dreams, min(remaining, RENEW_INTERVAL_SECONDS)
                    )
                    remaining = max(0.0, remaining - (time.monotonic() - paused_at))
                    if self._stopped:
                        raise _AbortedError
                    is_paused = remaining > 0 and self._active_dreams > 0
                self._renew_video()  # without the lock: dreams must not wait for the store

        return throttle

    def _renew_video(self) -> None:
        """Show that the current video is being dreamt, if there is one; forget it if another worker has taken it over.

        If the store is unavailable, it is tried again later.
        """
        try:
            if self._current_video and not self._video_marks.renew(self._current_video):
                self._current_video = None
        except StoreError as error:
            logger.debug("the video of job %s could not be marked as being dreamt: %s", self._current_video, error)


def _make_morph_clips(job_id: str, pictures: Sequence[NDArray[np.uint8]]) -> list[Clip]:
    """Return the clips from a photo into its dream and back."""
    return [
        (clip_name(job_id), encode_mp4, Morph(pictures)),
        (preview_name(job_id), encode_webp, Morph(pictures, rate=12, long_side=480)),
    ]


class _AbortedError(Exception):
    """The process ends, and the current clip is abandoned."""


class _TakenOverError(Exception):
    """Another worker has taken over the current video, because this one seemed to have ended."""


class _ThrottledAnimation:
    """An animation that calls the throttle before each picture."""

    def __init__(self, animation: Animation, throttle: Callable[[], None]) -> None:
        self.size, self.rate = animation.size, animation.rate
        self._animation, self._throttle = animation, throttle

    def __len__(self) -> int:
        return len(self._animation)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for picture in self._animation:
            self._throttle()
            yield picture


def _lower_thread_priority() -> None:
    """Lower the priority of the calling thread, on systems where threads have one (Linux)."""
    if sys.platform == "linux":
        thread_id = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread_id, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread_id)))
