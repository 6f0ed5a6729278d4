"""Recipe choice: the recipe of each photo, and whether submission is paused, from the runtime settings."""

import logging
import threading
import time

import redis

from shared.errors import ArtDreamError
from shared.recipe.canary import Assignment, Canary, assign_recipe
from shared.recipe.recipe import Recipe, load_recipe
from shared.runtime_settings import RuntimeSettings, find_runtime_settings
from shared.settings import Settings

logger = logging.getLogger(__name__)

#: Seconds between two reads of the runtime settings.
SETTINGS_POLL_INTERVAL_SECONDS = 1.0

#: Seconds that the photos which are there at the start wait for the first of these reads, at most.
FIRST_READ_TIMEOUT_SECONDS = 5.0


class RecipeChoice:
    """Recipes and pause state of the installation. Keeps the last known values while the broker is unavailable."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        """Start with the recipes of the settings. Raises ArtDreamError for an unknown recipe."""
        self._settings = settings
        self._client = client
        #: The recipes of the settings.
        self.default_recipes = [load_recipe(name) for name in settings.recipes]
        self._chosen_names: tuple[str, ...] = ()
        self._recipes = self.default_recipes
        self._canary: Canary | None = None
        self._last_refresh = float("-inf")
        self._created_at = time.monotonic()
        self._is_read = threading.Event()
        #: Whether the operator paused submission; photos then stay in the outbox.
        self.paused = False

    def refresh(self) -> None:
        """Read the runtime settings, at most once per SETTINGS_POLL_INTERVAL_SECONDS."""
        if time.monotonic() - self._last_refresh < SETTINGS_POLL_INTERVAL_SECONDS:
            return
        self._last_refresh = time.monotonic()
        try:
            runtime_settings = find_runtime_settings(self._client, self._settings)
        except redis.RedisError:  # The last known values stay valid.
            return
        if runtime_settings is not None:  # Else the broker was wiped; it is soon initialized again from the store.
            self._apply(runtime_settings)
        self._is_read.set()

    def _apply(self, runtime_settings: RuntimeSettings) -> None:
        if runtime_settings.paused != self.paused:
            logger.warning("The operator %s the intake.", "paused" if runtime_settings.paused else "opened")
            self.paused = runtime_settings.paused
        self._canary = runtime_settings.canary
        if runtime_settings.recipes != self._chosen_names:
            self._chosen_names = runtime_settings.recipes
            self._recipes = [*filter(None, map(_load_chosen_recipe, self._chosen_names))] or self.default_recipes

    def choose_recipe(self, photo_id: str) -> Assignment:
        """Return one of the chosen recipes for a photo, in its current version or that of the canary.

        Both are determined by the photo's id. At the start, waits until another thread has read what the operator
        chose, FIRST_READ_TIMEOUT_SECONDS at most.

        The id is a hash, so the choice is uniform. Taking turns would need state that survives a killed producer: the
        same photo, dropped twice or accepted again after a crash, must become the same job.
        """
        self._is_read.wait(self._created_at + FIRST_READ_TIMEOUT_SECONDS - time.monotonic())
        recipes = self._recipes
        return assign_recipe(self._canary, recipes[int(photo_id, 16) % len(recipes)], photo_id)


def _load_chosen_recipe(name: str) -> Recipe | None:
    try:
        return load_recipe(name)
    except ArtDreamError as error:
        logger.warning("A recipe that the operator chose is left out: %s", error)
        return None
