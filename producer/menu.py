"""The menu: what the next photo is dreamt with, and whether any goes out now, as the operator steers it."""

import itertools
import logging
import threading
import time

import redis

from shared.errors import ArtDreamError
from shared.recipe import Recipe, load_recipe
from shared.settings import Settings
from shared.steering import known, read_steering

logger = logging.getLogger(__name__)

#: Seconds between two looks at the steering.
LOOK_EVERY = 1.0


class Menu:
    """Starts as the settings say, and keeps what it last heard while the broker is away. For several threads."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        """Raises ArtDreamError for a recipe that is none."""
        self._settings = settings
        self._client = client
        self._own = [load_recipe(name) for name in settings.recipes]
        self._names: tuple[str, ...] = ()
        self._recipes = itertools.cycle(self._own)
        self._lock = threading.Lock()
        self._looked = float("-inf")
        #: Whether photos wait where they are.
        self.paused = False

    def look(self) -> None:
        """Read the steering, unless that was done a moment ago."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        try:
            steering = read_steering(self._client, self._settings)
            if not known(self._client):  # it has lost its memory, and is told again in a moment
                return
        except redis.RedisError:  # the last word holds
            return
        if steering.paused != self.paused:
            logger.warning("The operator %s the intake.", "paused" if steering.paused else "opened")
            self.paused = steering.paused
        if steering.recipes != self._names:
            self._names = steering.recipes
            with self._lock:
                self._recipes = itertools.cycle([*filter(None, map(_known, self._names))] or self._own)

    def next(self) -> Recipe:
        """Return the recipe of the next photo: those that the operator chose take turns."""
        with self._lock:
            return next(self._recipes)


def _known(name: str) -> Recipe | None:
    try:
        return load_recipe(name)
    except ArtDreamError as error:
        logger.warning("A recipe that the operator chose is left out: %s", error)
        return None
