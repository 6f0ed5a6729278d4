"""Pages beside Streamlit's: plain HTML, a style sheet and a script, which fetch nothing from anywhere else."""

import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files

from starlette.responses import Response

from display.web.security_headers import SAME_ORIGIN_SOURCES, build_csp

#: What every page, and what it asks for, says to the browser: a link is told to nobody.
PAGE_HEADERS = build_csp(**SAME_ORIGIN_SOURCES) | {
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}

_MEDIA_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "jpg": "image/jpeg"}


def page_response(name: str, texts: Mapping[str, str], *, status: int = 200, **data: object) -> Response:
    """Return a page in a language. data: what its script finds in `document.body.dataset`, as JSON."""
    filled = {"language": texts["language"], "name": texts["name"], "words": json.dumps(texts)}
    filled |= {key: json.dumps(value) for key, value in data.items()}
    text = files("display").joinpath("components", name, f"{name}.html").read_text(encoding="utf-8")
    text = re.sub(rf"\{{({'|'.join(filled)})\}}", lambda place: html.escape(filled[place[1]]), text)
    return Response(text, status, media_type="text/html", headers=PAGE_HEADERS)


def asset_response(folder: str, name: str) -> Response:
    """Return what a page is made of. `folder` and `name` are the program's own, never what was asked for."""
    data = files("display").joinpath("components", folder, name).read_bytes()
    headers = PAGE_HEADERS | {"Cache-Control": "no-cache"}
    return Response(data, media_type=_MEDIA_TYPES[name.rpartition(".")[2]], headers=headers)


def empty_response(status: int = 404) -> Response:
    """Return an answer without a word."""
    return Response(status_code=status, headers=PAGE_HEADERS)
