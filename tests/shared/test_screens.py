"""Screens: their names, and the dreams that are chosen for them."""

import pytest
import redis
from pydantic import ValidationError

from shared.runtime_settings import read_runtime_settings, update_runtime_settings
from shared.screens import MAX_CHOSEN_DREAMS, Content, Layout, Screen, parse_screen_name, toggle_dream
from shared.settings import Settings

JOB_IDS = [f"{number:032x}" for number in range(MAX_CHOSEN_DREAMS + 1)]


@pytest.mark.parametrize("name", ["foyer", "hall-2", "1", "a" * 30])
def test_a_screen_has_a_plain_name(name: str) -> None:
    assert parse_screen_name(name) == name


@pytest.mark.parametrize("name", ["", "Foyer", "a b", "-a", "a" * 31, "foyer\n", "é", "<b>", "a/b"])
def test_any_other_name_is_that_of_no_screen(name: str) -> None:
    assert parse_screen_name(name) == ""


def test_a_dream_that_is_chosen_again_is_removed() -> None:
    screens = toggle_dream({"best": Screen(content=Content.CHOSEN), "other": Screen()}, "best", JOB_IDS[0])
    assert screens["best"].dreams == (JOB_IDS[0],)
    assert screens["other"] == Screen()
    assert toggle_dream(screens, "best", JOB_IDS[0])["best"].dreams == ()


def test_a_screen_that_is_full_drops_the_dream_that_was_chosen_first() -> None:
    screens = {"best": Screen(content=Content.CHOSEN)}
    for job_id in JOB_IDS:
        screens = toggle_dream(screens, "best", job_id)
    assert screens["best"].dreams == tuple(JOB_IDS[1:])


def test_screens_are_kept_by_the_broker(client: redis.Redis, settings: Settings) -> None:
    screens = {"foyer": Screen(content=Content.RECIPE, recipe="eyes"), "wall-2": Screen(layout=Layout.GRID)}
    update_runtime_settings(client, screens=screens)
    assert read_runtime_settings(client, settings).screens == screens


@pytest.mark.parametrize(
    "screens", [{"Not a name": Screen()}, {"foyer": {"content": "films"}}, {"foyer": {"dreams": ["../x"]}}]
)
def test_screens_that_are_not_valid_change_nothing(client: redis.Redis, settings: Settings, screens: object) -> None:
    with pytest.raises(ValidationError):
        update_runtime_settings(client, screens=screens)
    assert read_runtime_settings(client, settings).screens == {}
