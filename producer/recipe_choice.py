"""The menu: what photos are dreamt with, and whether any goes out now, as the operator steers it."""

import logging
import time

import redis

from shared.errors import ArtDreamError
from shared.recipe.recipe import Recipe, load_recipe
from shared.runtime_settings import find_runtime_settings
from shared.settings import Settings

logger = logging.getLogger(__name__)

#: Seconds between two looks at the steering.
SETTINGS_POLL_INTERVAL_SECONDS = 1.0


class RecipeChoice:
    """Starts as the settings say, and keeps what it last heard while the broker is away."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        """Raises ArtDreamError for a recipe that is none."""
        self._settings = settings
        self._client = client
        #: The recipes of the installation.
        self.default_recipes = [load_recipe(name) for name in settings.recipes]
        self._chosen_names: tuple[str, ...] = ()
        self._recipes = self.default_recipes
        self._last_refresh = float("-inf")
        #: Whether photos wait where they are.
        self.paused = False

    def refresh(self) -> None:
        """Read the steering, unless that was done a moment ago."""
        if time.monotonic() - self._last_refresh < SETTINGS_POLL_INTERVAL_SECONDS:
            return
        self._last_refresh = time.monotonic()
        try:
            steering = find_runtime_settings(self._client, self._settings)
        except redis.RedisError:  # the last word holds
            return
        if steering is None:  # the broker has lost its memory, and is told again in a moment
            return
        if steering.paused != self.paused:
            logger.warning("The operator %s the intake.", "paused" if steering.paused else "opened")
            self.paused = steering.paused
        if steering.recipes != self._chosen_names:
            self._chosen_names = steering.recipes
            self._recipes = [*filter(None, map(_load_chosen_recipe, self._chosen_names))] or self.default_recipes

    def choose_recipe(self, photo_id: str) -> Recipe:
        """Return the recipe that a photo gets of those that the operator chose.

        Its content chooses, as a throw of dice would. Turns would need a memory that outlives a killed producer: the
        same photo, dropped twice or taken up again after a crash, must become the same job.
        """
        recipes = self._recipes
        return recipes[int(photo_id, 16) % len(recipes)]


def _load_chosen_recipe(name: str) -> Recipe | None:
    try:
        return load_recipe(name)
    except ArtDreamError as error:
        logger.warning("A recipe that the operator chose is left out: %s", error)
        return None
