"""Who is the hero of the wall: the programme, run in a real browser with a clock of the test's own."""

from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

PROGRAMME = files("display").joinpath("components", "wall", "playlist.js").read_text(encoding="utf-8")


@pytest.fixture
def page(browser: Browser) -> Any:
    page = browser.new_page()
    page.evaluate(
        f"{PROGRAMME}; globalThis.programme = new Programme({{ idleAfter: 30000, rotateEvery: 15000 }});"
        f"programme.apply('snapshot', {EMPTY}, 0)"
    )
    yield page
    page.close()


EMPTY = "{dreams: [], running: [], waiting: 0}"


def tell(page: Page, second: float, kind: str = "heartbeat", **body: object) -> str | None:
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


def start(page: Page, second: float, job: str) -> str | None:
    return tell(page, second, "started", job_id=job)


def frame(page: Page, second: float, job: str) -> str | None:
    return tell(page, second, "frame", job_id=job, frame="f", fraction=0.5)


def dream(page: Page, second: float, job: str) -> str | None:
    return tell(page, second, "dream", job_id=job, at=second)


def test_a_dream_is_watched_to_its_end_and_then_stays_for_a_while(page: Page) -> None:
    assert start(page, 0, "a") == "a"
    assert start(page, 1, "b") == "a"
    assert dream(page, 2, "a") == "a!"
    assert frame(page, 5, "b") == "a!"
    assert frame(page, 6.1, "b") == "b"
    assert dream(page, 7, "b") == "b!"
    assert start(page, 30, "c") == "c"


def test_the_newest_started_takes_a_free_wall(page: Page) -> None:
    start(page, 0, "a")
    dream(page, 1, "a")
    start(page, 1, "b")
    start(page, 2, "c")
    assert tell(page, 5.1) == "c"


def test_a_dream_that_ended_behind_another_is_shown_afterwards(page: Page) -> None:
    start(page, 0, "a")
    start(page, 0.1, "b")
    assert dream(page, 1, "b") == "a"
    assert dream(page, 2, "a") == "a!"
    assert tell(page, 6.1) == "b!"


def test_a_job_that_hesitates_gives_way_to_a_lively_one(page: Page) -> None:
    start(page, 0, "a")
    assert start(page, 5, "b") == "a"
    assert frame(page, 11, "b") == "b"


def test_a_job_that_falls_silent_gives_the_wall_back(page: Page) -> None:
    dream(page, 0, "old")
    assert start(page, 10, "a") == "a"
    assert tell(page, 69) == "a"
    assert tell(page, 71) == "old!"


def test_a_wall_that_was_away_shows_what_it_missed_in_order(page: Page) -> None:
    dream(page, 0, "seen")
    missed = [{"job_id": job, "at": at} for job, at in (("second", 20), ("first", 10), ("seen", 0))]
    assert tell(page, 100, "snapshot", dreams=missed, running=[], waiting=0) == "first!"
    assert tell(page, 104.1) == "second!"
    assert tell(page, 108.2) == "second!"
