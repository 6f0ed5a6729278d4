"""Who is the hero of the wall: the programme, run in a real browser with a clock of the test's own."""

from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

PLAYLIST_SCRIPT = files("display").joinpath("components", "wall", "playlist.js").read_text(encoding="utf-8")


@pytest.fixture
def page(browser: Browser) -> Any:
    page = browser.new_page()
    page.evaluate(
        f"{PLAYLIST_SCRIPT}; globalThis.programme = new Programme({{ idleAfter: 30000, rotateEvery: 15000 }});"
        f"programme.apply('snapshot', {EMPTY_SNAPSHOT}, 0)"
    )
    yield page
    page.close()


EMPTY_SNAPSHOT = "{dreams: [], running: [], waiting: 0}"


def apply_event(page: Page, second: float, kind: str = "pulse", **body: object) -> str | None:
    """Tell the programme something at a time; return the hero: “job” while it emerges, “job!” when it is a dream."""
    return page.evaluate(
        """([now, kind, body]) => {
            programme.apply(kind, body, now);
            programme.decide(now);
            const hero = programme.hero;
            return hero && (hero.kind === "emerging" ? hero.job_id : hero.dream.job_id + "!");
        }""",
        [1000 * second, kind, body],
    )


def apply_started(page: Page, second: float, job: str) -> str | None:
    return apply_event(page, second, "started", job_id=job)


def apply_frame(page: Page, second: float, job: str) -> str | None:
    return apply_event(page, second, "frame", job_id=job, frame="f", fraction=0.5)


def apply_dream(page: Page, second: float, job: str) -> str | None:
    return apply_event(page, second, "dream", job_id=job, at=second)


def test_a_dream_is_watched_to_its_end_and_then_stays_for_a_while(page: Page) -> None:
    assert apply_started(page, 0, "a") == "a"
    assert apply_started(page, 1, "b") == "a"
    assert apply_dream(page, 2, "a") == "a!"
    assert apply_frame(page, 5, "b") == "a!"
    assert apply_frame(page, 6.1, "b") == "b"
    assert apply_dream(page, 7, "b") == "b!"
    assert apply_started(page, 30, "c") == "c"


def test_the_newest_started_takes_a_free_wall(page: Page) -> None:
    apply_started(page, 0, "a")
    apply_dream(page, 1, "a")
    apply_started(page, 1, "b")
    apply_started(page, 2, "c")
    assert apply_event(page, 5.1) == "c"


def test_a_dream_that_ended_behind_another_is_shown_afterwards(page: Page) -> None:
    apply_started(page, 0, "a")
    apply_started(page, 0.1, "b")
    assert apply_dream(page, 1, "b") == "a"
    assert apply_dream(page, 2, "a") == "a!"
    assert apply_event(page, 6.1) == "b!"


def test_a_job_that_hesitates_gives_way_to_a_lively_one(page: Page) -> None:
    apply_started(page, 0, "a")
    assert apply_started(page, 5, "b") == "a"
    assert apply_frame(page, 11, "b") == "b"


def test_a_job_that_falls_silent_gives_the_wall_back(page: Page) -> None:
    apply_dream(page, 0, "old")
    assert apply_started(page, 10, "a") == "a"
    assert apply_event(page, 69) == "a"
    assert apply_event(page, 71) == "old!"


def test_a_wall_that_was_away_shows_what_it_missed_in_order(page: Page) -> None:
    apply_dream(page, 0, "seen")
    missed = [{"job_id": job, "at": at} for job, at in (("second", 20), ("first", 10), ("seen", 0))]
    assert apply_event(page, 100, "snapshot", dreams=missed, running=[], waiting=0) == "first!"
    assert apply_event(page, 104.1) == "second!"
    assert apply_event(page, 108.2) == "second!"
