"""Pages beside Streamlit's: plain HTML, a style sheet and a script, which fetch nothing from anywhere else."""

import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files

from starlette.responses import Response

from display.web.security_headers import PLAIN, policy

#: What every page, and what it asks for, says to the browser: a link is told to nobody.
HEADERS = policy(**PLAIN) | {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex", "Cache-Control": "no-store"}

_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "jpg": "image/jpeg"}


def page(name: str, spoken: Mapping[str, str], *, status: int = 200, **data: object) -> Response:
    """Return a page in a language. data: what its script finds in `document.body.dataset`, as JSON."""
    filled = {"language": spoken["language"], "name": spoken["name"], "words": json.dumps(spoken)}
    filled |= {key: json.dumps(value) for key, value in data.items()}
    text = files("display").joinpath("components", name, f"{name}.html").read_text(encoding="utf-8")
    text = re.sub(rf"\{{({'|'.join(filled)})\}}", lambda place: html.escape(filled[place[1]]), text)
    return Response(text, status, media_type="text/html", headers=HEADERS)


def asset(folder: str, name: str) -> Response:
    """Return what a page is made of. `folder` and `name` are the program's own, never what was asked for."""
    data = files("display").joinpath("components", folder, name).read_bytes()
    headers = HEADERS | {"Cache-Control": "no-cache"}
    return Response(data, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


def nothing(status: int = 404) -> Response:
    """Return an answer without a word."""
    return Response(status_code=status, headers=HEADERS)
