"""The templates, scripts and style sheets of the pages that are not Streamlit's, as the display serves them."""

import re
from urllib.parse import urljoin

import pytest

from display.web.html import fill_template, read_component
from tests.display.conftest import DisplayProcess
from tests.display.media.test_routes import send_request

TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}

#: Folders in `display/components`.
PAGES = ("gallery", "art_map", "upload", "share", "login")


def test_everything_that_a_page_or_its_scripts_name_is_served(shared_display: DisplayProcess) -> None:
    known_paths: set[str] = set()
    for folder in PAGES:
        known_paths.update(
            re.findall(r'(?:href|src)="(/[^"]+\.(?:js|css|svg))"', read_component(f"{folder}/{folder}.html"))
        )
    unchecked = list(known_paths)
    while unchecked:
        path = unchecked.pop()
        response = send_request(shared_display, path)
        assert response.status == 200, path
        text = response.body.decode()  # type: ignore[attr-defined]
        imported = {urljoin(path, name) for name in re.findall(r'^import .* from "(.+)";$', text, re.MULTILINE)}
        unchecked += imported - known_paths
        known_paths |= imported
        if not path.startswith("/fonts/"):
            assert response.getheader("Content-Type") == TYPES[path.rpartition(".")[2]], path
            assert response.getheader("Cache-Control") == "no-cache", path
            assert response.getheader("X-Content-Type-Options") == "nosniff", path
    assert {"/common/tokens.css", "/common/event_feed.js", "/common/dream_dialog.js"} <= known_paths


def test_a_browser_that_has_a_script_is_told_that_it_is_still_the_same(shared_display: DisplayProcess) -> None:
    etag = send_request(shared_display, "/common/event_feed.js").getheader("ETag") or ""
    response = send_request(shared_display, "/common/event_feed.js", If_None_Match=etag)
    assert (response.status, response.body) == (304, b"")  # type: ignore[attr-defined]
    assert response.getheader("Cache-Control") == "no-cache"


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
def test_nothing_else_is_served(shared_display: DisplayProcess, path: str) -> None:
    assert send_request(shared_display, path).status in (400, 404)  # Streamlit refuses what could lead out of a folder


def test_what_is_filled_into_a_page_is_escaped() -> None:
    values = {"language": "de", "title": "<i>", "passcode": '"', "enter": "&", "message": "{title}", "shut": ""}
    values |= {"name": "<b>", "theme": "dark", "ground": "#000000", "logo": "", "logo_hidden": "hidden"}
    text = fill_template("login", values)
    assert "<title>&lt;b&gt; – &lt;i&gt;</title>" in text
    assert "&quot;</label>" in text
    assert "<button>&amp;</button>" in text
    assert '<p role="status">{title}</p>' in text
