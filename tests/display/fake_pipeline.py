"""A fake pipeline: stores photos, frames and dreams and publishes the events of producer and worker."""

import hashlib
import io
import secrets
from collections.abc import Sequence

import redis
from PIL import Image, ImageDraw

from shared.art_map import MapPoint
from shared.jobs.events import ClassProbability
from shared.jobs.job import Job, Lane
from shared.jobs.table import Claim, JobTable
from shared.recipe.recipe import DEFAULT_RECIPE, Recipe, load_recipe
from shared.runtime_settings import initialize_runtime_settings
from shared.storage.object_names import dream_name, frame_name, photo_name, sidecar_name, thumb_name
from shared.storage.sidecar import ModerationScores, Visibility
from shared.storage.store import Store
from tests.sidecars import make_sidecar
from tests.unread_message import UNREAD_MESSAGE

Color = tuple[int, int, int]

#: Has a title of its own, because the titles of the bundled recipes may change.
RECIPE = load_recipe(DEFAULT_RECIPE).model_copy(update={"title": "Animals"})


def make_circle_jpeg(color: Color, size: tuple[int, int] = (320, 240), comment: str = "") -> bytes:
    """Return a JPEG with a circle in it, and with a comment."""
    image = Image.new("RGB", size, color)
    ImageDraw.Draw(image).ellipse((60, 40, 200, 180), fill=(250, 240, 230))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", comment=comment)
    return buffer.getvalue()


class FakePipeline:
    """Write objects to the store and events to the stream, in the order of a real job.

    Each has photos of its own, as each guest: a browser may have in its cache what an earlier test showed.
    """

    def __init__(self, client: redis.Redis, store: Store) -> None:
        self.client = client
        self.store = store
        self._comment = secrets.token_hex(8)
        self._table = JobTable(client, initialize=lambda: initialize_runtime_settings(client, store))

    def make_photo(self, color: Color) -> bytes:
        """Return a photo of one color, as a JPEG: the same for each call."""
        return make_circle_jpeg(color, comment=self._comment)

    def submit_photo(self, color: Color, *, recipe: Recipe = RECIPE, lane: Lane = Lane.LIVE) -> Job:
        """Store a photo of one color and accept and queue a job for it; return the job."""
        data = self.make_photo(color)
        photo_id = hashlib.sha256(data).hexdigest()
        self.store.put(photo_name(photo_id), data)
        job = Job(photo_id=photo_id, recipe=recipe, lane=lane)
        assert self._table.accept(job, message=UNREAD_MESSAGE).is_new
        return job

    def claim_job(self, job: Job) -> Claim:
        """Claim a job as a worker does; return the claim."""
        claim = self._table.claim(job, "worker-1")
        assert claim
        return claim

    def publish_frame(self, claim: Claim, index: int) -> str:
        """Store a frame and announce it; return its object name."""
        name = frame_name(claim.job.id, index)
        self.store.put(name, make_circle_jpeg((40 * index, 90, 160)))
        self.announce_frame(claim, name, (index + 1) / 5)
        return name

    def announce_frame(self, claim: Claim, frame: str, fraction: float = 0.5) -> None:
        """Publish the progress event of a frame without storing the frame; `fraction` is in [0, 1]."""
        assert self._table.record_progress(claim, frame, fraction)

    def complete_job(
        self,
        claim: Claim,
        *,
        class_probabilities: Sequence[tuple[str, float, float]] = (),
        thumb: bool = False,
        map_point: MapPoint | None = None,
        moderation: ModerationScores | None = None,
    ) -> None:
        """Store the dream and its sidecar and complete the job, held if its scores ask for that.

        class_probabilities: (class name, probability in the photo, probability in the dream)
        """
        job = claim.job
        self.store.put(dream_name(job.id), make_circle_jpeg((200, 60, 90)))
        if thumb:
            self.store.put(thumb_name(job.id), make_circle_jpeg((200, 60, 90), (80, 60)))
        probabilities = tuple(
            ClassProbability(name=name, photo=photo, dream=dream) for name, photo, dream in class_probabilities
        )
        hold = moderation is not None and moderation.needs_approval
        sidecar = make_sidecar(
            job,
            verdicts=probabilities,
            critic="artist/critic",
            place=map_point,
            moderation=moderation,
            standing=Visibility.HELD if hold else Visibility.SHOWN,
        )
        self.store.put(sidecar_name(job.id), sidecar.model_dump_json().encode())
        assert self._table.complete(claim, sidecar.to_completed_event(), hold=hold)

    def fail_job(self, claim: Claim) -> None:
        """End the job without a dream."""
        assert self._table.fail(claim, "It cannot be dreamt.")

    def add_dream(
        self,
        color: Color,
        *,
        recipe: Recipe = RECIPE,
        class_probabilities: Sequence[tuple[str, float, float]] = (),
        thumb: bool = False,
        map_point: MapPoint | None = None,
    ) -> Job:
        """Submit a photo and process its job to completion; return the job."""
        job = self.submit_photo(color, recipe=recipe)
        claim = self.claim_job(job)
        self.publish_frame(claim, 4)
        self.complete_job(claim, class_probabilities=class_probabilities, thumb=thumb, map_point=map_point)
        return job
