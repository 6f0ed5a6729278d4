"""The archive: every dream that the store holds, newest first, and who may see it."""

import bisect
import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from shared.art_map import MapPoint
from shared.jobs.events import Completed
from shared.storage.object_names import DREAMS_PREFIX, TOMBSTONES_PREFIX, clip_name, preview_name, thumb_name
from shared.storage.sidecar import Sidecar, Visibility, read_sidecar
from shared.storage.store import Store

#: Dreams of one page.
GALLERY_PAGE_SIZE = 48


#: Sidecars that are read at a time: a bucket far away answers many as fast as one.
MAX_PARALLEL_READS = 16

#: Sidecars after which those that were read are shown, so that a wall need not wait for the oldest.
SIDECARS_PER_UPDATE = 256


@dataclass(frozen=True, order=True, slots=True)
class Dream:
    """A finished dream. Names are those of objects."""

    #: Epoch seconds; the job's id tells dreams of one moment apart.
    completed_at: float
    job_id: str
    recipe: str
    title: str
    photo: str
    dream: str
    #: What the recipe asked for, as (class, probability in the photo, probability in the dream).
    class_probabilities: tuple[tuple[str, float, float], ...] = ()
    visibility: Visibility = Visibility.SHOWN
    map_point: MapPoint | None = field(default=None, compare=False)

    @classmethod
    def from_sidecar(cls, sidecar: Sidecar) -> "Dream":
        """Read what the display needs from a sidecar."""
        return cls.from_completed(sidecar.to_completed_event(), sidecar.completed_at, sidecar.standing)

    @classmethod
    def from_completed(
        cls, event: Completed, completed_at: float, visibility: Visibility = Visibility.SHOWN
    ) -> "Dream":
        """Read what the display needs from a completion."""
        verdicts = tuple((one.name, one.photo, one.dream) for one in event.verdicts)
        recipe, title = sys.intern(event.recipe), sys.intern(event.title)  # there are thousands of each
        return cls(
            completed_at, event.job_id, recipe, title, event.photo, event.dream, verdicts, visibility, event.place
        )

    @property
    def day(self) -> str:
        """The day it was dreamt on, where the display stands: 2026-11-24."""
        return time.strftime("%Y-%m-%d", time.localtime(self.completed_at))

    def as_json(self) -> dict[str, object]:
        """Return what a browser needs to show it."""
        return {
            "job_id": self.job_id,
            "at": self.completed_at,
            "day": self.day,
            "recipe": self.recipe,
            "title": self.title,
            "photo": self.photo,
            "dream": self.dream,
            "thumb": thumb_name(self.job_id),
            "clip": clip_name(self.job_id),
            "preview": preview_name(self.job_id),
            "verdicts": self.class_probabilities,
            "place": self.map_point and self.map_point.model_dump(),
        }


class DreamIndex:
    """All dreams in memory, a few hundred bytes each. May be used from several threads."""

    def __init__(self) -> None:
        self._sorted: list[Dream] = []  # oldest first
        self._by_id: dict[str, Dream] = {}
        self._deleted: set[str] = set()
        self._visible_by_photo: Counter[str] = Counter()
        self._lock = threading.RLock()
        #: Whether everything that the store remembers is here.
        self.is_complete = False
        #: Epoch seconds; what was dreamt before belongs to an earlier event of the house.
        self.opened_at = 0.0

    def add(self, dream: Dream) -> None:
        """Add a dream; one that is known or was deleted stays as it is."""
        with self._lock:
            if dream.job_id not in self._by_id and dream.job_id not in self._deleted:
                bisect.insort(self._sorted, dream)
                self._insert(dream)

    def put(self, dream: Dream) -> None:
        """Add a dream or what has become of it."""
        with self._lock:
            self._remove(dream.job_id)
            self.add(dream)

    def hide(self, job_id: str) -> None:
        """Show a dream no longer."""
        with self._lock:
            if dream := self._by_id.get(job_id):
                self.put(replace(dream, visibility=Visibility.HIDDEN))

    def delete(self, job_id: str) -> None:
        """Forget a dream for good: nothing brings it back."""
        with self._lock:
            self._remove(job_id)
            self._deleted.add(job_id)

    def find(self, job_id: str) -> Dream | None:
        """Return a dream in whatever standing, None for an unknown or deleted one."""
        return self._by_id.get(job_id)

    def is_visible(self, job_id: str) -> bool:
        """Tell whether a dream may be seen."""
        dream = self._by_id.get(job_id)
        return dream is not None and dream.visibility is Visibility.SHOWN

    def is_photo_visible(self, photo: str) -> bool:
        """Tell whether a photo belongs to a dream that may be seen."""
        return self._visible_by_photo[photo] > 0

    def is_deleted(self, job_id: str) -> bool:
        """Tell whether a dream was deleted, as far as that was heard."""
        return job_id in self._deleted

    def load_from_store(
        self, store: Store, are_held: Callable[[Sequence[str]], list[bool]], on_update: Callable[[], None]
    ) -> None:
        """Add the dreams that a store remembers, newest first; a sidecar that cannot be read is left out.

        Those that are known already are hidden or deleted where that was not heard. held: which jobs nobody may see,
        whatever their sidecars say. told: called whenever some have been added.
        Raises StoreError, and whatever `held` raises.
        """
        buried = {entry.name.rpartition("/")[2] for entry in store.list_objects(TOMBSTONES_PREFIX)}
        entries = [entry for entry in store.list_objects(DREAMS_PREFIX) if entry.name.endswith("/dream.json")]
        entries.sort(key=lambda entry: entry.modified, reverse=True)
        job_ids = [job_id for entry in entries if (job_id := entry.name.split("/")[1]) not in self._by_id]
        for job_id in buried:
            self.delete(job_id)
        seen = [dream.job_id for dream in self.list_all() if dream.visibility is Visibility.SHOWN]
        for job_id in itertools.compress(seen, are_held(seen)):
            self.hide(job_id)
        with ThreadPoolExecutor(MAX_PARALLEL_READS, "recall") as readers:
            for start in range(0, len(job_ids), SIDECARS_PER_UPDATE):
                chunk = job_ids[start : start + SIDECARS_PER_UPDATE]
                sidecars = list(readers.map(lambda job_id: read_sidecar(store, job_id), chunk))
                # After the sidecars: one that was written before approval was asked for is held by the broker only.
                for sidecar, is_held in zip(sidecars, are_held(chunk), strict=True):
                    if sidecar is not None:
                        dream = Dream.from_sidecar(sidecar)
                        held_back = is_held and dream.visibility is Visibility.SHOWN
                        self.add(replace(dream, visibility=Visibility.HELD) if held_back else dream)
                on_update()
        self.is_complete = True

    def list_newest(self, count: int) -> list[Dream]:
        """Return the newest dreams of the current event that may be seen, newest first."""
        return list(itertools.islice(self._iterate_visible(None), count))

    def list_page(self, *, before: tuple[float, str] | None, recipe: str = "", day: str = "") -> list[Dream]:
        """Return the next PAGE dreams, newest first, older than a dream's `at` and `job_id`, of a recipe and a day."""
        fitting = (
            dream for dream in self._iterate_visible(before) if recipe in ("", dream.recipe) and day in ("", dream.day)
        )
        return list(itertools.islice(fitting, GALLERY_PAGE_SIZE))

    def list_filters(self) -> dict[str, object]:
        """Return what one may choose from: recipes by name and title, and days, newest first."""
        dreams = list(self._iterate_visible(None))
        recipes = {dream.recipe: dream.title for dream in reversed(dreams)}
        return {
            "count": len(dreams),
            "recipes": sorted(recipes.items(), key=lambda item: item[1]),
            "days": list(dict.fromkeys(dream.day for dream in dreams)),
        }

    def list_on_map(self, network: str, count: int) -> list[Dream]:
        """Return the newest dreams that may be seen and have a place on the map of a network, newest first."""
        found = (
            dream for dream in self._iterate_visible(None) if dream.map_point and dream.map_point.network == network
        )
        return list(itertools.islice(found, count))

    def list_all(self) -> list[Dream]:
        """Return all dreams of all events in whatever standing, newest first: for the operator."""
        with self._lock:
            return self._sorted[::-1]

    def _iterate_visible(self, before: tuple[float, str] | None) -> Iterator[Dream]:
        with self._lock:
            end = len(self._sorted) if before is None else bisect.bisect_left(self._sorted, before, key=_sort_key)
            begin = bisect.bisect_left(self._sorted, (self.opened_at, ""), key=_sort_key)
            dreams = self._sorted[begin:end]
        return (dream for dream in reversed(dreams) if dream.visibility is Visibility.SHOWN)

    def _insert(self, dream: Dream) -> None:
        self._by_id[dream.job_id] = dream
        self._visible_by_photo[dream.photo] += dream.visibility is Visibility.SHOWN

    def _remove(self, job_id: str) -> None:
        if dream := self._by_id.pop(job_id, None):
            del self._sorted[bisect.bisect_left(self._sorted, _sort_key(dream), key=_sort_key)]
            self._visible_by_photo[dream.photo] -= dream.visibility is Visibility.SHOWN


def _sort_key(dream: Dream) -> tuple[float, str]:
    return dream.completed_at, dream.job_id
