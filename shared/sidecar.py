"""The sidecar: everything that is known about a dream, kept beside it in the store."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.events import Completed, Stages
from shared.recipe import Recipe


class Sidecar(BaseModel):
    """What made a dream; enough to make it again, and to rebuild the gallery from the store alone."""

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
    #: Width and height of the dream in pixels.
    size: tuple[int, int]
    stages: Stages
    #: Epoch seconds, by the worker's clock.
    completed_at: float

    def completion(self) -> Completed:
        """Return the event that announces this dream."""
        return Completed(
            job_id=self.job_id,
            photo_id=self.photo_id,
            recipe=self.recipe.name,
            title=self.recipe.title,
            photo=self.photo,
            dream=self.dream,
            stages=self.stages,
        )
