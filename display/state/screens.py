"""Screens: which dreams and running jobs each screen shows, as the operator has set it up."""

import itertools
from collections.abc import Mapping

from display.state.dream_index import Dream, DreamIndex
from display.state.live_state import Change
from shared.errors import ArtDreamError
from shared.recipe.recipe import load_recipe
from shared.screens import DEFAULT_SCREEN, Content, Screen

#: Dreams of a snapshot: more than fit the strip of the widest wall, or a grid.
SNAPSHOT_DREAMS = 24


class Screens:
    """The screens by name. A name that nobody has set up shows what comes."""

    def __init__(self, dream_index: DreamIndex) -> None:
        self._dream_index = dream_index
        #: The screens that are set up.
        self.by_name: Mapping[str, Screen] = {}

    def update(self, screens: Mapping[str, Screen]) -> bool:
        """Set up the screens; return whether that changes any of them."""
        is_changed, self.by_name = screens != self.by_name, screens
        return is_changed

    def describe(self, name: str) -> dict[str, object]:
        """Return what a browser needs to know of its screen."""
        return self._get(name).model_dump(mode="json", include={"content", "layout"})

    def list_dreams(self, name: str) -> list[Dream]:
        """Return the visible dreams of a screen, newest first, SNAPSHOT_DREAMS at most."""
        screen = self._get(name)
        match screen.content:
            case Content.RECIPE:
                dreams = self._dream_index.list_page(before=None, recipe=screen.recipe)
                return list(itertools.islice(dreams, SNAPSHOT_DREAMS))
            case Content.CHOSEN:
                chosen = filter(self._dream_index.is_visible, screen.dreams)
                return sorted(filter(None, map(self._dream_index.find, chosen)), reverse=True)
        return self._dream_index.list_newest(SNAPSHOT_DREAMS)

    def list_chosen_for(self, job_id: str) -> set[str]:
        """Return the names of the screens for which a dream is chosen."""
        return {
            name
            for name, screen in self.by_name.items()
            if screen.content is Content.CHOSEN and job_id in screen.dreams
        }

    def shows(self, name: str, change: Change) -> bool:
        """Return whether a screen shows a change. The end of a job and the broker's state concern every screen."""
        screen = self._get(name)
        match change.kind:
            case "started" | "frame":
                return self.shows_running(name, str(change.body["title"]))
            case "dream" if screen.content is Content.RECIPE:
                return change.body["recipe"] == screen.recipe
            case "dream" if screen.content is Content.CHOSEN:
                return change.body["job_id"] in screen.dreams
        return True

    def shows_running(self, name: str, title: str) -> bool:
        """Return whether a screen shows a running job, by the title of its recipe."""
        screen = self._get(name)
        if screen.content is Content.RECIPE:
            return title == _get_title(screen.recipe)
        return screen.content is not Content.CHOSEN

    def _get(self, name: str) -> Screen:
        return self.by_name.get(name, DEFAULT_SCREEN)


def _get_title(recipe: str) -> str | None:
    """Return the title of a recipe; None if this version has no recipe of that name."""
    try:
        return load_recipe(recipe).title
    except ArtDreamError:
        return None
