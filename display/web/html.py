"""HTML pages without Streamlit: a template, a style sheet and a script, which load nothing from other hosts."""

import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from display.web.security_headers import SAME_ORIGIN_SOURCES, build_csp
from display.web.theme import describe_appearance
from shared.appearance import Appearance

#: Headers of every page and its assets. A page's URL may contain a token: no referrer is sent, and nothing is indexed.
PAGE_HEADERS = build_csp(**SAME_ORIGIN_SOURCES) | {
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}

#: Kept by the browser, and checked each time: the names of scripts stay the same when the program is updated.
_ASSET_HEADERS = PAGE_HEADERS | {"Cache-Control": "no-cache"}

#: What pages are made of, by the ending of its name.
_ASSET_TYPES = {
    "css": "text/css; charset=utf-8",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

_COMPONENTS = StaticFiles(packages=[("display", "components")])


def read_component(name: str) -> str:
    """Return the text of a file in `display/components`, such as `wall/wall.html`."""
    return files("display").joinpath("components", name).read_text(encoding="utf-8")


def fill_template(name: str, values: Mapping[str, str]) -> str:
    """Return the HTML of a component with its {placeholders} filled in and escaped; {head} is what all pages load."""
    template = read_component(f"{name}/{name}.html").replace("{head}", read_component("common/head.html"))
    placeholder = re.compile(rf"\{{({'|'.join(values)})\}}")
    return placeholder.sub(lambda found: html.escape(values[found[1]]), template)


def page_response(
    name: str,
    texts: Mapping[str, str],
    appearance: Appearance,
    *,
    status: int = 200,
    headers: Mapping[str, str] = PAGE_HEADERS,
    **data: object,
) -> Response:
    """Return a page in a language.

    data: what its template names beside `texts`. A str is filled in as it is, all else as JSON, which scripts find in
    `document.body.dataset`.
    """
    values = {"language": texts["language"], "texts": json.dumps(texts)} | describe_head(texts, appearance)
    values["appearance"] = json.dumps(describe_appearance(appearance))
    values |= {key: value if isinstance(value, str) else json.dumps(value) for key, value in data.items()}
    headers = {**headers, "Vary": "Accept-Language"}
    return Response(fill_template(name, values), status, media_type="text/html", headers=headers)


def describe_head(texts: Mapping[str, str], appearance: Appearance) -> dict[str, str]:
    """Return what the head of each template names: the event's name, and the colors of its first paint."""
    name = appearance.title or texts["name"]
    return {"name": name, "theme": appearance.theme.value, "ground": appearance.colors.ground}


def asset_route(path: str, folder: str) -> Route:
    """Return the route `path/<name>` to the scripts, style sheets and icons of a folder in `display/components`."""

    async def get_asset(request: Request) -> Response:
        return await asset_response(request, folder, request.path_params["name"])

    return Route(f"{path}/{{name}}", get_asset)


async def asset_response(request: Request, folder: str, name: str) -> Response:
    """Return a file that pages are made of, 304 if the browser has it, 404 for whatever else lies in the folder."""
    media_type = _ASSET_TYPES.get(name.rpartition(".")[2])
    if media_type is None:
        return empty_response()
    try:
        response = await _COMPONENTS.get_response(f"{folder}/{name}", request.scope)
    except HTTPException as error:
        return empty_response(error.status_code)
    # What the system takes for the type of a script differs from one to the next.
    response.headers.update(_ASSET_HEADERS | {"Content-Type": media_type})
    return response


def empty_response(status: int = 404) -> Response:
    """Return a response without a body."""
    return Response(status_code=status, headers=PAGE_HEADERS)
