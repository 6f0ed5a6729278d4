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
PAGE = 48


#: Sidecars that are read at a time: a bucket far away answers many as fast as one.
READERS = 16

#: Sidecars after which those that were read are shown, so that a wall need not wait for the oldest.
CHUNK = 256


@dataclass(frozen=True, order=True, slots=True)
class Dream:
    """A finished dream. Names are those of objects."""

    #: Epoch seconds; the job's id tells dreams of one moment apart.
    at: float
    job_id: str
    recipe: str
    title: str
    photo: str
    dream: str
    #: What the recipe asked for, as (class, probability in the photo, probability in the dream).
    verdicts: tuple[tuple[str, float, float], ...] = ()
    standing: Visibility = Visibility.SHOWN
    place: MapPoint | None = field(default=None, compare=False)

    @classmethod
    def of(cls, sidecar: Sidecar) -> "Dream":
        """Read what the display needs from a sidecar."""
        return cls.announced(sidecar.to_completed_event(), sidecar.completed_at, sidecar.standing)

    @classmethod
    def announced(cls, event: Completed, at: float, standing: Visibility = Visibility.SHOWN) -> "Dream":
        """Read what the display needs from a completion."""
        verdicts = tuple((one.name, one.photo, one.dream) for one in event.verdicts)
        recipe, title = sys.intern(event.recipe), sys.intern(event.title)  # there are thousands of each
        return cls(at, event.job_id, recipe, title, event.photo, event.dream, verdicts, standing, event.place)

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
            "verdicts": self.verdicts,
            "place": self.place and self.place.model_dump(),
        }


class Archive:
    """All dreams in memory, a few hundred bytes each. May be used from several threads."""

    def __init__(self) -> None:
        self._sorted: list[Dream] = []  # oldest first
        self._known: dict[str, Dream] = {}
        self._deleted: set[str] = set()
        self._shown_by_photo: Counter[str] = Counter()
        self._lock = threading.RLock()
        #: Whether everything that the store remembers is here.
        self.complete = False
        #: Epoch seconds; what was dreamt before belongs to an earlier event of the house.
        self.opened_at = 0.0

    def add(self, dream: Dream) -> None:
        """Add a dream; one that is known or was deleted stays as it is."""
        with self._lock:
            if dream.job_id not in self._known and dream.job_id not in self._deleted:
                bisect.insort(self._sorted, dream)
                self._keep(dream)

    def put(self, dream: Dream) -> None:
        """Add a dream or what has become of it."""
        with self._lock:
            self._take_out(dream.job_id)
            self.add(dream)

    def hide(self, job_id: str) -> None:
        """Show a dream no longer."""
        with self._lock:
            if dream := self._known.get(job_id):
                self.put(replace(dream, standing=Visibility.HIDDEN))

    def delete(self, job_id: str) -> None:
        """Forget a dream for good: nothing brings it back."""
        with self._lock:
            self._take_out(job_id)
            self._deleted.add(job_id)

    def find(self, job_id: str) -> Dream | None:
        """Return a dream in whatever standing, None for an unknown or deleted one."""
        return self._known.get(job_id)

    def shows(self, job_id: str) -> bool:
        """Tell whether a dream may be seen."""
        dream = self._known.get(job_id)
        return dream is not None and dream.standing is Visibility.SHOWN

    def shows_photo(self, photo: str) -> bool:
        """Tell whether a photo belongs to a dream that may be seen."""
        return self._shown_by_photo[photo] > 0

    def deleted(self, job_id: str) -> bool:
        """Tell whether a dream was deleted, as far as that was heard."""
        return job_id in self._deleted

    def recall(self, store: Store, held: Callable[[Sequence[str]], list[bool]], told: Callable[[], None]) -> None:
        """Add the dreams that a store remembers, newest first; a sidecar that cannot be read is left out.

        Those that are known already are hidden or deleted where that was not heard. held: which jobs nobody may see,
        whatever their sidecars say. told: called whenever some have been added.
        Raises StoreError, and whatever `held` raises.
        """
        buried = {entry.name.rpartition("/")[2] for entry in store.list_objects(TOMBSTONES_PREFIX)}
        entries = [entry for entry in store.list_objects(DREAMS_PREFIX) if entry.name.endswith("/dream.json")]
        entries.sort(key=lambda entry: entry.modified, reverse=True)
        job_ids = [job_id for entry in entries if (job_id := entry.name.split("/")[1]) not in self._known]
        for job_id in buried:
            self.delete(job_id)
        seen = [dream.job_id for dream in self.everything() if dream.standing is Visibility.SHOWN]
        for job_id in itertools.compress(seen, held(seen)):
            self.hide(job_id)
        with ThreadPoolExecutor(READERS, "recall") as readers:
            for start in range(0, len(job_ids), CHUNK):
                chunk = job_ids[start : start + CHUNK]
                sidecars = list(readers.map(lambda job_id: read_sidecar(store, job_id), chunk))
                # After the sidecars: one that was written before approval was asked for is held by the broker only.
                for sidecar, is_held in zip(sidecars, held(chunk), strict=True):
                    if sidecar is not None:
                        dream = Dream.of(sidecar)
                        held_back = is_held and dream.standing is Visibility.SHOWN
                        self.add(replace(dream, standing=Visibility.HELD) if held_back else dream)
                told()
        self.complete = True

    def newest(self, count: int) -> list[Dream]:
        """Return the newest dreams of the current event that may be seen, newest first."""
        return list(itertools.islice(self._newest(None), count))

    def page(self, *, before: tuple[float, str] | None, recipe: str = "", day: str = "") -> list[Dream]:
        """Return the next PAGE dreams, newest first, older than a dream's `at` and `job_id`, of a recipe and a day."""
        fitting = (dream for dream in self._newest(before) if recipe in ("", dream.recipe) and day in ("", dream.day))
        return list(itertools.islice(fitting, PAGE))

    def choices(self) -> dict[str, object]:
        """Return what one may choose from: recipes by name and title, and days, newest first."""
        dreams = list(self._newest(None))
        recipes = {dream.recipe: dream.title for dream in reversed(dreams)}
        return {
            "count": len(dreams),
            "recipes": sorted(recipes.items(), key=lambda item: item[1]),
            "days": list(dict.fromkeys(dream.day for dream in dreams)),
        }

    def placed(self, network: str, count: int) -> list[Dream]:
        """Return the newest dreams that may be seen and have a place on the map of a network, newest first."""
        found = (dream for dream in self._newest(None) if dream.place and dream.place.network == network)
        return list(itertools.islice(found, count))

    def everything(self) -> list[Dream]:
        """Return all dreams of all events in whatever standing, newest first: for the operator."""
        with self._lock:
            return self._sorted[::-1]

    def _newest(self, before: tuple[float, str] | None) -> Iterator[Dream]:
        with self._lock:
            end = len(self._sorted) if before is None else bisect.bisect_left(self._sorted, before, key=_place)
            begin = bisect.bisect_left(self._sorted, (self.opened_at, ""), key=_place)
            dreams = self._sorted[begin:end]
        return (dream for dream in reversed(dreams) if dream.standing is Visibility.SHOWN)

    def _keep(self, dream: Dream) -> None:
        self._known[dream.job_id] = dream
        self._shown_by_photo[dream.photo] += dream.standing is Visibility.SHOWN

    def _take_out(self, job_id: str) -> None:
        if dream := self._known.pop(job_id, None):
            del self._sorted[bisect.bisect_left(self._sorted, _place(dream), key=_place)]
            self._shown_by_photo[dream.photo] -= dream.standing is Visibility.SHOWN


def _place(dream: Dream) -> tuple[float, str]:
    return dream.at, dream.job_id
