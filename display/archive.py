"""The archive: every dream that the store holds, newest first, for those who leaf through them."""

import bisect
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from shared.events import Completed
from shared.names import clip_name, preview_name, sidecar_name, thumb_name
from shared.sidecar import Sidecar
from shared.store import Store

_LOG = logging.getLogger(__name__)

#: Dreams of one page.
PAGE = 48


@dataclass(frozen=True, order=True)
class Leaf:
    """One dream. Names are those of objects."""

    #: Epoch seconds; the job's id tells dreams of one moment apart.
    at: float
    job_id: str
    recipe: str
    title: str
    photo: str
    dream: str

    @property
    def day(self) -> str:
        """The day it was dreamt on, where the display stands: 2026-11-24."""
        return time.strftime("%Y-%m-%d", time.localtime(self.at))

    def told(self) -> dict[str, object]:
        """Return what a browser needs to show it."""
        return {
            "job_id": self.job_id,
            "at": self.at,
            "day": self.day,
            "recipe": self.recipe,
            "title": self.title,
            "photo": self.photo,
            "dream": self.dream,
            "thumb": thumb_name(self.job_id),
            "clip": clip_name(self.job_id),
            "preview": preview_name(self.job_id),
        }


class Archive:
    """All dreams in memory, a few hundred bytes each. May be used from several threads."""

    def __init__(self) -> None:
        self._leaves: list[Leaf] = []  # oldest first
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def add(self, leaf: Leaf) -> None:
        """Add a dream; one that is known already stays as it is."""
        with self._lock:
            if leaf.job_id not in self._known:
                self._known.add(leaf.job_id)
                bisect.insort(self._leaves, leaf)

    def complete(self, event: Completed, at: float) -> None:
        """Add a dream that has just been announced."""
        self.add(Leaf(at, event.job_id, event.recipe, event.title, event.photo, event.dream))

    def recall(self, store: Store) -> None:
        """Add the dreams that a store remembers; a sidecar that cannot be read is left out. Raises StoreError."""
        for entry in store.entries("dreams/"):
            job_id = entry.name.split("/")[1] if entry.name.endswith("/dream.json") else ""
            if job_id and job_id not in self._known and (sidecar := read_sidecar(store, job_id)):
                leaf = Leaf(
                    sidecar.completed_at,
                    sidecar.job_id,
                    sidecar.recipe.name,
                    sidecar.recipe.title,
                    sidecar.photo,
                    sidecar.dream,
                )
                self.add(leaf)

    def page(self, *, before: tuple[float, str] | None, recipe: str = "", day: str = "") -> list[Leaf]:
        """Return the next PAGE dreams, newest first, older than a dream's `at` and `job_id`, of a recipe and a day."""
        found = []
        for leaf in self._newest(before):
            if recipe in ("", leaf.recipe) and day in ("", leaf.day):
                found.append(leaf)
                if len(found) == PAGE:
                    break
        return found

    def choices(self) -> dict[str, object]:
        """Return what one may choose from: recipes by name and title, and days, newest first."""
        leaves = list(self._newest(None))
        recipes = {leaf.recipe: leaf.title for leaf in reversed(leaves)}
        return {
            "count": len(leaves),
            "recipes": sorted(recipes.items(), key=lambda item: item[1]),
            "days": list(dict.fromkeys(leaf.day for leaf in leaves)),
        }

    def _newest(self, before: tuple[float, str] | None) -> Iterator[Leaf]:
        with self._lock:
            end = len(self._leaves) if before is None else bisect.bisect_left(self._leaves, before, key=_place)
            leaves = self._leaves[:end]
        return reversed(leaves)


def _place(leaf: Leaf) -> tuple[float, str]:
    return leaf.at, leaf.job_id


def read_sidecar(store: Store, job_id: str) -> Sidecar | None:
    """Return what is known of a dream, None where nothing is or it cannot be read. Raises StoreError."""
    text = store.get(sidecar_name(job_id))
    if text is None:
        return None
    try:
        return Sidecar.model_validate_json(text)
    except ValidationError as error:
        _LOG.info("the sidecar of %s is not one known here: %s", job_id, error.errors()[0]["msg"])
        return None
