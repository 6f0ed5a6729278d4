"""What the pages beside Streamlit's are made of, as the display serves it."""

import re
from urllib.parse import urljoin

import pytest

from display.web.html import fill_template, read_component
from tests.display.conftest import Display
from tests.display.media.test_routes import ask

TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}

#: Folders in `display/components`.
PAGES = ("gallery", "art_map", "upload", "share", "login")


def test_everything_that_a_page_or_its_scripts_name_is_served(display: Display) -> None:
    found: set[str] = set()
    for folder in PAGES:
        found.update(re.findall(r'(?:href|src)="(/[^"]+\.(?:js|css|svg))"', read_component(f"{folder}/{folder}.html")))
    waiting = list(found)
    while waiting:
        path = waiting.pop()
        answer = ask(display, path)
        assert answer.status == 200, path
        text = answer.body.decode()  # type: ignore[attr-defined]
        imported = {urljoin(path, name) for name in re.findall(r'^import .* from "(.+)";$', text, re.MULTILINE)}
        waiting += imported - found
        found |= imported
        if not path.startswith("/fonts/"):
            assert answer.getheader("Content-Type") == TYPES[path.rpartition(".")[2]], path
            assert answer.getheader("Cache-Control") == "no-cache", path
            assert answer.getheader("X-Content-Type-Options") == "nosniff", path
    assert {"/common/tokens.css", "/common/event_feed.js", "/gallery/dream_dialog.js"} <= found


def test_a_browser_that_has_a_script_is_told_that_it_is_still_the_same(display: Display) -> None:
    known = ask(display, "/common/event_feed.js").getheader("ETag") or ""
    answer = ask(display, "/common/event_feed.js", If_None_Match=known)
    assert (answer.status, answer.body) == (304, b"")  # type: ignore[attr-defined]
    assert answer.getheader("Cache-Control") == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/gallery/gallery.html",
        "/common/none.js",
        "/common/..%2fgallery%2fgallery.js",
        "/common/..%2f..%2fserver.py",
        "/common/%00.js",
        "/send/examples",
        "/send/curls.jpg",
        "/share/..",
    ],
)
def test_nothing_else_is_served(display: Display, path: str) -> None:
    assert ask(display, path).status in (400, 404)  # Streamlit refuses what could lead out of a folder


def test_what_is_filled_into_a_page_is_escaped() -> None:
    values = {"language": "de", "title": "<i>", "passcode": '"', "enter": "&", "message": "{title}", "shut": ""}
    text = fill_template("login", values)
    assert "<title>ArtDream – &lt;i&gt;</title>" in text
    assert "&quot;</label>" in text
    assert "<button>&amp;</button>" in text
    assert '<p role="status">{title}</p>' in text
