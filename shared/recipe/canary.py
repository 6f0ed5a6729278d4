"""Canary: a new version of a recipe that a share of the guests' photos get, and how each photo gets its version."""

import hashlib
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import Field, StringConstraints

from shared.recipe.objective import StrictModel
from shared.recipe.recipe import Recipe

#: Characters of the longest recipe that is compared, as JSON: a job may carry two, and has a limit of its own.
MAX_COMPARED_CHARACTERS = 40_000

#: The highest version of a candidate, so that the name of a comparison is a label of the usage counts.
MAX_CANDIDATE_VERSION = 99_999_999

#: Recipe, current version and version of the candidate: `night_1_2`.
ComparisonName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}_[1-9][0-9]{0,9}_[1-9][0-9]{0,9}$", max_length=61)
]


class Arm(StrEnum):
    """A version in a comparison."""

    CURRENT = "current"
    CANDIDATE = "candidate"


class Comparison(StrictModel):
    """What is counted of a job because its recipe has a canary, and how to dream its photo if the candidate fails."""

    name: ComparisonName
    arm: Arm
    #: The current version, if the job has the candidate.
    current: Recipe | None = None

    @property
    def counted_as(self) -> str:
        """Name and arm, by which the usage counts tell the versions apart."""
        return f"{self.name}|{self.arm}"


class Assignment(NamedTuple):
    """The recipe of a photo, and the comparison that its job counts in, if any."""

    recipe: Recipe
    comparison: Comparison | None = None


class Canary(StrictModel):
    """A candidate for the next version of a recipe, and the percentage of guests' photos that get it."""

    candidate: Recipe
    #: 0: it is over.
    percent: int = Field(ge=0, le=100)

    def assign(self, recipe: Recipe, photo_id: str) -> Assignment:
        """Return the version of a recipe for a guest's photo.

        It depends on photo, candidate and percentage alone: whoever asks, in whatever order, gets the same. A photo
        that has the candidate keeps it at any higher percentage.
        """
        is_compared = (
            self.percent > 0 and recipe.name == self.candidate.name and recipe.version < self.candidate.version
        )
        if not is_compared or any(not _is_short(version) for version in (recipe, self.candidate)):
            return Assignment(recipe)
        name = f"{recipe.name}_{recipe.version}_{self.candidate.version}"
        digest = hashlib.sha256(f"{self.candidate.digest}/{photo_id}".encode()).digest()
        if int.from_bytes(digest[:8]) * 100 >= self.percent << 64:
            return Assignment(recipe, Comparison(name=name, arm=Arm.CURRENT))
        return Assignment(self.candidate, Comparison(name=name, arm=Arm.CANDIDATE, current=recipe))


def assign_recipe(canary: Canary | None, recipe: Recipe, photo_id: str) -> Assignment:
    """Return the version of a recipe for a guest's photo, as `Canary.assign`; without a canary, the recipe itself."""
    return canary.assign(recipe, photo_id) if canary else Assignment(recipe)


def _is_short(recipe: Recipe) -> bool:
    return len(recipe.model_dump_json()) <= MAX_COMPARED_CHARACTERS
