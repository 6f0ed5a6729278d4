"""Moderation by a network: scores the pictures of jobs, and holds the dreams of which one reaches the threshold."""

import logging
import threading

from shared.storage.sidecar import ModerationScores, ScoredPicture
from worker.consumer.time_limit import raise_if_interrupted
from worker.dreamer import Pixels
from worker.networks.open_nsfw import WEIGHTS_SHA256, load_open_nsfw

logger = logging.getLogger(__name__)


class Moderator:
    """Scores pictures with the network, which it loads. Thread-safe."""

    def __init__(self, threshold: float) -> None:
        """threshold: score, in [0, 1], from which on a dream is held. Raises ArtDreamError if there is no network."""
        self.threshold = threshold
        self._network = load_open_nsfw()

    def begin_job(self) -> "JobModeration":
        """Return the moderation of another job."""
        return JobModeration(self)

    def score(self, picture: Pixels) -> float | None:
        """Return the score of a picture, (height, width, 3) uint8 sRGB; None if it cannot be scored, which is logged.

        Raises TaskInterrupted.
        """
        try:
            return round(self._network.score(picture), 3)
        except Exception as error:
            raise_if_interrupted(error)
            logger.warning(
                "A picture could not be scored, and counts as one that waits for approval: %s",
                str(error) or type(error).__name__,
            )
            return None

    def may_be_seen(self, picture: Pixels) -> bool:
        """Return whether a picture of no job in particular stays below the threshold. Raises TaskInterrupted."""
        return self.begin_job().look_at("frames", picture)


class JobModeration:
    """The scores of one job's pictures. Thread-safe."""

    def __init__(self, moderator: Moderator) -> None:
        self._moderator = moderator
        self._scores = ModerationScores(network=WEIGHTS_SHA256, threshold=moderator.threshold)
        self._lock = threading.Lock()

    @property
    def scores(self) -> ModerationScores:
        """The scores so far."""
        return self._scores

    @property
    def holds(self) -> bool:
        """Whether the dream has to wait for the operator, because of any picture so far."""
        return self._scores.needs_approval

    def look_at(self, kind: ScoredPicture, picture: Pixels) -> bool:
        """Score a picture of the job, and return whether the dream still needs no approval. Raises TaskInterrupted."""
        score = self._moderator.score(picture)
        with self._lock:
            self._scores = self._scores.with_score(kind, score)
        return not self.holds
