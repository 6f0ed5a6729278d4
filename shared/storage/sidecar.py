"""Sidecars: the metadata of a dream, stored next to it."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.art_map import MapPoint
from shared.jobs.events import ClassProbability, Completed, Stages
from shared.recipe.objective import Classes
from shared.recipe.recipe import Recipe
from shared.storage.object_names import DREAMS_PREFIX, sidecar_name
from shared.storage.store import Store

logger = logging.getLogger(__name__)

#: Sidecars that are read at a time: a remote store takes tens of milliseconds for each.
_READER_THREADS = 16


class Visibility(StrEnum):
    """Whether a dream is visible, and if not, why."""

    SHOWN = "shown"
    HELD = "held"  # waits for the operator's approval
    HIDDEN = "hidden"  # the operator has hidden it


#: What is scored: the photo, the frames that guests may see meanwhile, and the dream.
ScoredPicture = Literal["photo", "frames", "dream"]


class ModerationScores(BaseModel):
    """How explicit a network found the pictures of a job. Scores are in [0, 1]."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: SHA-256 of the network's weights.
    network: str
    #: Score from which on the dream was held.
    threshold: float
    #: None: not scored.
    photo: float | None = None
    #: The highest of the frames.
    frames: float | None = None
    dream: float | None = None
    #: Pictures that could not be scored, which holds the dream, too.
    failed: tuple[ScoredPicture, ...] = ()

    @property
    def highest(self) -> float:
        """The highest score; 0 if there is none."""
        return max(self.photo or 0.0, self.frames or 0.0, self.dream or 0.0)

    @property
    def needs_approval(self) -> bool:
        """Whether the dream has to wait for the operator because of these scores."""
        scores = [score for score in (self.photo, self.frames, self.dream) if score is not None]
        return bool(self.failed) or any(score >= self.threshold for score in scores)

    def with_score(self, picture: ScoredPicture, score: float | None) -> Self:
        """Return the scores with another one, of frames the highest. None: the picture could not be scored."""
        if score is None:
            return self.model_copy(update={"failed": tuple(sorted({*self.failed, picture}))})
        return self.model_copy(update={picture: max(score, getattr(self, picture) or 0.0)})


class Sidecar(BaseModel):
    """The metadata of a dream: enough to reproduce it, and to rebuild the gallery from the store alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    job_id: str
    photo_id: str
    #: Object names.
    photo: str
    dream: str
    recipe: Recipe
    seed: int
    network: str
    #: SHA-256 of the network's weights.
    weights: str
    #: Floating-point type of the network's computation: "float32" or "bfloat16".
    precision: str = "float32"
    #: Reference images that were used, as `artist/file`.
    artworks: tuple[str, ...] = ()
    #: Evidence of the effect: the recipe's target classes, then the most probable classes of the dream.
    verdicts: tuple[ClassProbability, ...] = ()
    #: Network whose verdicts they are.
    critic: str = ""
    #: Positions of photo and dream on the critic's art map, if it has one.
    place: MapPoint | None = None
    #: Whether people are seen in the photo, if the recipe changes only them or only their background: if not, all of
    #: the photo has changed.
    people_seen: bool | None = None
    #: Scores of the pictures; None if no network moderated.
    moderation: ModerationScores | None = None
    #: Program that made the dream, with its version; "" in those of older versions.
    program: str = ""
    #: Width and height of the dream in pixels.
    size: tuple[int, int]
    stages: Stages
    #: Epoch seconds, by the worker's clock.
    completed_at: float
    standing: Visibility = Visibility.SHOWN

    @property
    def evidence(self) -> tuple[ClassProbability, ...]:
        """The verdicts on the recipe's target classes, if another network than the one that was climbed gave them.

        A network is easily led to any verdict of its own; to tell guests of it would prove nothing.
        """
        if self.critic in ("", self.network):
            return ()
        target_classes = {name for term in self.recipe.objective if isinstance(term, Classes) for name in term.classes}
        return tuple(verdict for verdict in self.verdicts if verdict.name in target_classes)

    def to_completed_event(self) -> Completed:
        """Return the event that announces this dream."""
        return Completed(
            job_id=self.job_id,
            photo_id=self.photo_id,
            recipe=self.recipe.name,
            title=self.recipe.title,
            photo=self.photo,
            dream=self.dream,
            verdicts=self.evidence,
            place=self.place,
            stages=self.stages,
        )


def read_sidecar(store: Store, job_id: str) -> Sidecar | None:
    """Return the sidecar of a dream; None if there is none or it cannot be read. Raises StoreError."""
    return _parse_sidecar(store.get(sidecar_name(job_id)), job_id)


def iter_sidecars(store: Store) -> Iterator[Sidecar]:
    """Yield the sidecars of all dreams in the store, in no particular order. Raises StoreError."""
    names = (entry.name for entry in store.list_objects(DREAMS_PREFIX))
    job_ids = (job_id for name in names if name == sidecar_name(job_id := _parse_job_id(name)))
    with ThreadPoolExecutor(_READER_THREADS) as executor:
        yield from filter(None, executor.map(partial(read_sidecar, store), job_ids))


def _parse_job_id(object_name: str) -> str:
    return object_name.removeprefix(DREAMS_PREFIX).partition("/")[0]


async def read_sidecar_async(store: Store, job_id: str) -> Sidecar | None:
    """Return what `read_sidecar` does without blocking the event loop."""
    return _parse_sidecar(await store.get_async(sidecar_name(job_id)), job_id)


def _parse_sidecar(text: bytes | None, job_id: str) -> Sidecar | None:
    if text is None:
        return None
    try:
        return Sidecar.model_validate_json(text)
    except ValidationError as error:
        logger.info("the sidecar of %s is not one known here: %s", job_id, error.errors()[0]["msg"])
        return None
