"""HTML pages without Streamlit: a template, a style sheet and a script, which load nothing from other hosts."""

import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files

from starlette.responses import Response

from display.web.security_headers import SAME_ORIGIN_SOURCES, build_csp

#: Headers of every page and its assets. A page's URL may contain a token: no referrer is sent, and nothing is indexed.
PAGE_HEADERS = build_csp(**SAME_ORIGIN_SOURCES) | {
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}

_MEDIA_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "jpg": "image/jpeg"}


def page_response(name: str, texts: Mapping[str, str], *, status: int = 200, **data: object) -> Response:
    """Return the page of a component, rendered in a language.

    name: folder and template in `display/components`. texts: guest texts of the language. data: values for the page's
    script, which reads them from `document.body.dataset` as JSON.
    """
    values = {"language": texts["language"], "name": texts["name"], "words": json.dumps(texts)}
    values |= {key: json.dumps(value) for key, value in data.items()}
    text = files("display").joinpath("components", name, f"{name}.html").read_text(encoding="utf-8")
    text = re.sub(rf"\{{({'|'.join(values)})\}}", lambda match: html.escape(values[match[1]]), text)
    return Response(text, status, media_type="text/html", headers=PAGE_HEADERS)


def asset_response(folder: str, name: str) -> Response:
    """Return a script, style sheet or image of a page. `folder` and `name` must be constants, never user input."""
    data = files("display").joinpath("components", folder, name).read_bytes()
    headers = PAGE_HEADERS | {"Cache-Control": "no-cache"}
    return Response(data, media_type=_MEDIA_TYPES[name.rpartition(".")[2]], headers=headers)


def empty_response(status: int = 404) -> Response:
    """Return a response without a body."""
    return Response(status_code=status, headers=PAGE_HEADERS)
