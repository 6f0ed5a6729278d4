"""Dream index: every dream in the store, newest first, with its visibility."""

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
from shared.jobs.events import STREAM_START_ID, Completed
from shared.storage.object_names import DREAMS_PREFIX, TOMBSTONES_PREFIX, clip_name, preview_name, thumb_name
from shared.storage.sidecar import Sidecar, Visibility, read_sidecar
from shared.storage.store import Store

#: Dreams on one page of the gallery.
GALLERY_PAGE_SIZE = 48

#: Sidecars that are read at a time: a remote bucket answers many requests as fast as one.
MAX_PARALLEL_READS = 16

#: Sidecars of the first update: the wall shows the newest dreams while older sidecars are still being read.
SIDECARS_PER_UPDATE = 256


@dataclass(frozen=True, order=True, slots=True)
class Dream:
    """A completed dream. `photo` and `dream` are object names."""

    #: Epoch seconds. Dreams of the same time are ordered by job id.
    completed_at: float
    job_id: str
    recipe: str
    title: str
    photo: str
    dream: str
    #: The classes that the recipe targets, as (class, probability in the photo, probability in the dream).
    class_probabilities: tuple[tuple[str, float, float], ...] = ()
    visibility: Visibility = Visibility.SHOWN
    map_point: MapPoint | None = field(default=None, compare=False)
    #: The date of completion in the display's time zone, as 2026-11-24.
    day: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        day = time.strftime("%Y-%m-%d", time.localtime(self.completed_at))
        object.__setattr__(self, "day", sys.intern(day))  # thousands of dreams share it

    @classmethod
    def from_sidecar(cls, sidecar: Sidecar) -> "Dream":
        """Return the dream that a sidecar describes."""
        return cls.from_completed(sidecar.to_completed_event(), sidecar.completed_at, sidecar.standing)

    @classmethod
    def from_completed(
        cls, event: Completed, completed_at: float, visibility: Visibility = Visibility.SHOWN
    ) -> "Dream":
        """Return the dream that a completed event announces. completed_at: epoch seconds."""
        class_probabilities = tuple(
            (probability.name, probability.photo, probability.dream) for probability in event.verdicts
        )
        recipe, title = sys.intern(event.recipe), sys.intern(event.title)  # thousands of dreams share them
        return cls(
            completed_at,
            event.job_id,
            recipe,
            title,
            event.photo,
            event.dream,
            class_probabilities,
            visibility,
            event.place,
        )

    def as_json(self) -> dict[str, object]:
        """Return the fields that a browser needs to show the dream."""
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
    """All dreams in memory, a few hundred bytes each. Thread-safe."""

    def __init__(self) -> None:
        self._sorted: list[Dream] = []  # oldest first
        self._by_id: dict[str, Dream] = {}
        self._deleted: set[str] = set()
        self._hidden_unknown: set[str] = set()  # hidden before they were added, while the store is still being read
        self._visible_by_photo: Counter[str] = Counter()
        self._opened_at = 0.0
        self._count_by_recipe: Counter[str] = Counter()  # of what the gallery shows, as the next two
        self._count_by_day: Counter[str] = Counter()
        self._newest_titles: dict[str, tuple[float, str]] = {}  # recipe → time and title of its newest dream
        self._lock = threading.RLock()
        #: Whether all dreams in the store have been loaded.
        self.is_complete = False
        #: Id of the last event that was applied. What follows it in the stream may announce dreams that are missing.
        self.last_event_id = STREAM_START_ID

    @property
    def opened_at(self) -> float:
        """Epoch seconds of the start of the exhibition's current event. Wall and gallery show no earlier dreams."""
        return self._opened_at

    @opened_at.setter
    def opened_at(self, seconds: float) -> None:
        with self._lock:
            self._opened_at = seconds
            for counts in (self._count_by_recipe, self._count_by_day, self._newest_titles):
                counts.clear()
            for dream in self._sorted:
                self._count(dream, 1)

    def add(self, dream: Dream) -> None:
        """Add a dream, unless its job id is known already or was deleted. It is hidden if `hide` was called before."""
        with self._lock:
            if dream.job_id not in self._by_id and dream.job_id not in self._deleted:
                if dream.job_id in self._hidden_unknown:
                    self._hidden_unknown.remove(dream.job_id)
                    dream = replace(dream, visibility=Visibility.HIDDEN)
                bisect.insort(self._sorted, dream)
                self._insert(dream)

    def put(self, dream: Dream) -> None:
        """Add a dream, or replace the one of the same job, unless it was deleted."""
        with self._lock:
            self._hidden_unknown.discard(dream.job_id)
            self._remove(dream.job_id)
            self.add(dream)

    def hide(self, job_id: str) -> None:
        """Set a dream's visibility to hidden, as soon as it is known."""
        with self._lock:
            if dream := self._by_id.get(job_id):
                self.put(replace(dream, visibility=Visibility.HIDDEN))
            else:
                self._hidden_unknown.add(job_id)

    def delete(self, job_id: str) -> None:
        """Remove a dream for good: it cannot be added again."""
        with self._lock:
            self._remove(job_id)
            self._deleted.add(job_id)

    def find(self, job_id: str) -> Dream | None:
        """Return a dream of any visibility, None if it is unknown or deleted."""
        return self._by_id.get(job_id)

    def is_known(self, job_id: str) -> bool:
        """Return whether there is a dream, of any visibility, or was one that is deleted."""
        return job_id in self._by_id or job_id in self._deleted

    def is_visible(self, job_id: str) -> bool:
        """Return whether a dream may be shown to guests."""
        dream = self._by_id.get(job_id)
        return dream is not None and dream.visibility is Visibility.SHOWN

    def is_photo_visible(self, photo: str) -> bool:
        """Return whether a photo, named as an object, belongs to a visible dream."""
        return self._visible_by_photo[photo] > 0

    def is_deleted(self, job_id: str) -> bool:
        """Return whether the deletion of a dream is known here."""
        return job_id in self._deleted

    def load_from_store(
        self, store: Store, are_held: Callable[[Sequence[str]], list[bool]], on_update: Callable[[], None]
    ) -> None:
        """Add the dreams in a store, newest first, and skip unreadable sidecars.

        Known dreams are hidden or deleted if the event that said so was missed. are_held: returns for each job id
        whether the broker keeps the job invisible; that overrides the sidecar. on_update: called when the newest dreams
        of many are there, and when all are. Raises StoreError if the store is unavailable, and any exception of
        `are_held`.
        """
        deleted = {entry.name.rpartition("/")[2] for entry in store.list_objects(TOMBSTONES_PREFIX)}
        entries = [entry for entry in store.list_objects(DREAMS_PREFIX) if entry.name.endswith("/dream.json")]
        entries.sort(key=lambda entry: entry.modified, reverse=True)
        job_ids = [job_id for entry in entries if (job_id := entry.name.split("/")[1]) not in self._by_id]
        for job_id in deleted:
            self.delete(job_id)
        visible = [dream.job_id for dream in self.list_all() if dream.visibility is Visibility.SHOWN]
        for job_id in itertools.compress(visible, are_held(visible)):
            self.hide(job_id)
        with ThreadPoolExecutor(MAX_PARALLEL_READS, "sidecar-reader") as readers:
            for start in range(0, len(job_ids), SIDECARS_PER_UPDATE):
                chunk = job_ids[start : start + SIDECARS_PER_UPDATE]
                sidecars = list(readers.map(lambda job_id: read_sidecar(store, job_id), chunk))
                # Query the broker after the sidecars are read: if approval was switched on after a sidecar was written,
                # only the broker knows that the dream is held.
                for sidecar, is_held in zip(sidecars, are_held(chunk), strict=True):
                    if sidecar is not None:
                        dream = Dream.from_sidecar(sidecar)
                        needs_approval = is_held and dream.visibility is Visibility.SHOWN
                        self.add(replace(dream, visibility=Visibility.HELD) if needs_approval else dream)
                if start == 0 and len(job_ids) > SIDECARS_PER_UPDATE:
                    on_update()
        self.is_complete = True
        on_update()

    def list_newest(self, count: int) -> list[Dream]:
        """Return the newest visible dreams of the exhibition's current event, newest first, `count` at most."""
        return list(itertools.islice(self._iterate_visible(None), count))

    def list_page(self, *, before: tuple[float, str] | None, recipe: str = "", day: str = "") -> list[Dream]:
        """Return one page of visible dreams, newest first, GALLERY_PAGE_SIZE at most.

        before: completed_at and job_id of the last dream of the previous page, None for the first page. recipe, day:
        filters, "" for all.
        """
        matching = (
            dream for dream in self._iterate_visible(before) if recipe in ("", dream.recipe) and day in ("", dream.day)
        )
        return list(itertools.islice(matching, GALLERY_PAGE_SIZE))

    def list_filters(self) -> dict[str, object]:
        """Return the gallery's filters: number of dreams, recipes as (name, title) by title, days newest first."""
        with self._lock:
            recipes = [(recipe, self._newest_titles[recipe][1]) for recipe in self._count_by_recipe]
            return {
                "count": self.visible_count,
                "recipes": sorted(recipes, key=lambda item: item[1]),
                "days": sorted(self._count_by_day, reverse=True),
            }

    @property
    def visible_count(self) -> int:
        """The number of dreams in the gallery."""
        return self._count_by_day.total()

    def list_on_map(self, network: str, count: int) -> list[Dream]:
        """Return the newest visible dreams with a point on a network's map, newest first, `count` at most."""
        on_map = (
            dream for dream in self._iterate_visible(None) if dream.map_point and dream.map_point.network == network
        )
        return list(itertools.islice(on_map, count))

    def list_all(self) -> list[Dream]:
        """Return all dreams of any visibility, earlier events included, newest first: for the operator."""
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
        self._count(dream, 1)

    def _remove(self, job_id: str) -> None:
        if dream := self._by_id.pop(job_id, None):
            del self._sorted[bisect.bisect_left(self._sorted, _sort_key(dream), key=_sort_key)]
            self._visible_by_photo[dream.photo] -= dream.visibility is Visibility.SHOWN
            self._count(dream, -1)

    def _count(self, dream: Dream, change: int) -> None:
        """Count a dream that is added (1) or removed (-1) for the filters of the gallery, if that shows it."""
        if dream.visibility is not Visibility.SHOWN or dream.completed_at < self._opened_at:
            return
        for counts, key in ((self._count_by_recipe, dream.recipe), (self._count_by_day, dream.day)):
            counts[key] += change
            if not counts[key]:
                del counts[key]
        title = dream.completed_at, dream.title
        self._newest_titles[dream.recipe] = max(title, self._newest_titles.get(dream.recipe, title))


def _sort_key(dream: Dream) -> tuple[float, str]:
    return dream.completed_at, dream.job_id
