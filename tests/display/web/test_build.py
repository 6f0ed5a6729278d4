"""The id of the build, by which open pages notice that the display is of another version."""

import re
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

from display.web.build import compute_build_id
from tests.display.conftest import DisplayProcess
from tests.waiting import wait_until


def read_snapshot(display: DisplayProcess) -> str:
    """Return the first event of the feed."""
    with urllib.request.urlopen(f"{display.url}/feed") as response:
        lines = iter(response.readline, b"")
        data = next(line for line in lines if line.startswith(b"data:"))
    return f"event: snapshot\n{data.decode()}\n"


def test_the_build_changes_with_the_version_and_with_everything_that_browsers_load(tmp_path: Path) -> None:
    (tmp_path / "wall").mkdir()
    script = tmp_path / "wall" / "wall.js"
    script.write_text("1")
    build_ids = [compute_build_id("1.0", tmp_path), compute_build_id("1.1", tmp_path)]
    script.write_text("2")
    build_ids.append(compute_build_id("1.0", tmp_path))
    script.rename(tmp_path / "wall" / "hero.js")
    build_ids.append(compute_build_id("1.0", tmp_path))
    assert len(set(build_ids)) == 4
    assert compute_build_id("1.0", tmp_path) == build_ids[-1]


@pytest.mark.parametrize("path", ["/", *(pytest.param(path, marks=pytest.mark.slow) for path in ("/gallery", "/map"))])
def test_an_open_page_reloads_itself_once_when_the_display_comes_back_as_another_version(
    path: str, new_page: Callable[..., Page], display: DisplayProcess
) -> None:
    """Seen failing: a wall ran the scripts of the version before until somebody reloaded it."""
    snapshot = read_snapshot(display)
    assert '"build": "' in snapshot
    upgraded = re.sub('"build": "[^"]+"', '"build": "of another version"', snapshot)
    page, loads, feeds = new_page(), list[str](), list[str]()
    page.on("request", lambda request: loads.append(request.url) if request.is_navigation_request() else None)

    def answer(route: Route) -> None:
        """End each connection after its snapshot; the browser connects again."""
        body = upgraded if feeds else snapshot
        feeds.append(body)
        route.fulfill(content_type="text/event-stream", headers={"Cache-Control": "no-store"}, body=body)

    page.route("**/feed", answer)
    page.goto(path)

    def is_connected_again() -> bool:
        page.context.cookies()  # lets the routes run; does not mind a page that is being loaded
        return len(feeds) >= 5

    wait_until(is_connected_again, "the page connects again and again", explain=lambda: f"{loads} {len(feeds)}")
    assert loads == [f"{display.url}{path}"] * 2
