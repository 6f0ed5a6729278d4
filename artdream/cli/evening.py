"""The dreams of an evening, from the store alone: those that guests may see, in the order in which they were made."""

import time
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from shared.errors import ArtDreamError
from shared.runtime_settings import read_stored_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import TOMBSTONES_PREFIX
from shared.storage.sidecar import Visibility, iter_sidecars
from shared.storage.store import Store
from worker.clips.dream_pictures import EveningDream

#: Title of an evening whose event has none.
DEFAULT_TITLE = "ArtDream"


class Evening:
    """The visible dreams that were completed in a span of time."""

    def __init__(self, settings: Settings, since: datetime | None, until: datetime | None) -> None:
        """since: by default the start of the current event. until: by default now. Raises StoreError."""
        self.store = Store(settings.store)
        runtime_settings = read_stored_runtime_settings(self.store, settings)
        #: The look of the event.
        self.appearance = runtime_settings.appearance
        self._since = since.timestamp() if since else runtime_settings.opened_at
        self._until = until.timestamp() if until else time.time()

    def list_dreams(self) -> list[EveningDream]:
        """Return the dreams that are shown now, oldest first. Raises ArtDreamError if there are none, StoreError."""
        deleted = {entry.name.removeprefix(TOMBSTONES_PREFIX) for entry in self.store.list_objects(TOMBSTONES_PREFIX)}
        dreams = sorted(
            EveningDream(
                sidecar.completed_at,
                sidecar.job_id,
                sidecar.photo_id,
                sidecar.photo,
                sidecar.dream,
                sidecar.recipe.title,
            )
            for sidecar in iter_sidecars(self.store)
            if sidecar.standing is Visibility.SHOWN
            and self._since <= sidecar.completed_at < self._until
            and sidecar.job_id not in deleted
        )
        if not dreams:
            raise ArtDreamError(
                f"There is no dream to show from {_format_time(self._since)} to {_format_time(self._until)} in the "
                f"store {self.store.url}: choose other times with --since and --until."
            )
        return dreams


def choose_font(font: Path | None) -> Path:
    """Return the file of a font; by default that of the pages."""
    return font or Path(str(files("display").joinpath("components", "fonts", "newsreader-regular.ttf")))


def choose_titles(
    evening: Evening, title: str | None, subtitle: str | None, dreams: Sequence[EveningDream]
) -> tuple[str, str]:
    """Return title and subtitle: the given ones, else the event's, else the program's name and the first dream's date.

    An empty subtitle is none.
    """
    date = time.strftime("%Y-%m-%d", time.localtime(dreams[0].completed_at))
    event = evening.appearance
    return title or event.title or DEFAULT_TITLE, (event.subtitle or date) if subtitle is None else subtitle


def _format_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "the beginning"
