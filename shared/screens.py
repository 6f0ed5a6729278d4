"""Screens: what each of several screens of an exhibition shows, by its name in `/?screen=NAME`."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_NAME_PATTERN = re.compile("[a-z0-9][a-z0-9-]{0,29}", re.ASCII)

#: A screen's name, as in its URL.
ScreenName = Annotated[str, Field(pattern=f"^{_NAME_PATTERN.pattern}$")]

JobId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]

#: Dreams that can be chosen for a screen, and screens that can be set up.
MAX_CHOSEN_DREAMS, MAX_SCREENS = 24, 50


class Content(StrEnum):
    """Which dreams a screen shows."""

    #: All of the event, as they come.
    NEWEST = "newest"
    #: Those of one recipe, as they come.
    RECIPE = "recipe"
    #: Those that the operator has chosen for it, also of earlier events: the best ones, or those of one guest.
    CHOSEN = "chosen"
    #: The art map.
    MAP = "map"


class Layout(StrEnum):
    """How a screen shows its dreams."""

    #: One large, the others small below it.
    SINGLE = "single"
    #: Side by side, as on a video wall.
    GRID = "grid"


class Screen(BaseModel):
    """What one screen shows."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    content: Content = Content.NEWEST
    layout: Layout = Layout.SINGLE
    #: Name of the recipe, for `Content.RECIPE`.
    recipe: str = Field("", max_length=41)
    #: Job ids of the dreams, for `Content.CHOSEN`.
    dreams: tuple[JobId, ...] = Field((), max_length=MAX_CHOSEN_DREAMS)


#: What a screen without a name shows, and one that nobody has set up.
DEFAULT_SCREEN = Screen()


def toggle_dream(screens: Mapping[str, Screen], name: str, job_id: str) -> dict[str, Screen]:
    """Return the screens with a dream added to one of them, or removed if it was there.

    If a screen has MAX_CHOSEN_DREAMS, the dream that was chosen first makes room.
    """
    screen = screens[name]
    others = tuple(chosen for chosen in screen.dreams if chosen != job_id)
    dreams = others if job_id in screen.dreams else (*others, job_id)[-MAX_CHOSEN_DREAMS:]
    return {**screens, name: screen.model_copy(update={"dreams": dreams})}


def parse_screen_name(text: str) -> str:
    """Return a screen's name as it came with a request; "", as of a wall without a name, if it is none."""
    return text if _NAME_PATTERN.fullmatch(text) else ""
