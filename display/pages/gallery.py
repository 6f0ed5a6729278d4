"""The gallery: a page of its own beside Streamlit's, so that thousands of pictures scroll on any phone."""

import html
import json
import re
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from display.i18n import words
from display.state.dream_index import Archive
from display.web.security_headers import PLAIN, policy
from display.web.threads import aside
from shared.recipe.objective import Classes
from shared.settings import Settings
from shared.storage.sidecar import Sidecar, read_sidecar
from shared.storage.store import Store, StoreError

_HEADERS = policy(**PLAIN) | {"Cache-Control": "no-cache"}

_ASSETS = {
    "gallery.js": "text/javascript",
    "gallery.css": "text/css",
    "icon.svg": "image/svg+xml",
}

#: A place in the archive, as the page hands it back: seconds and job.
_CURSOR = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)-([0-9a-f]{32})", re.ASCII)


def gallery_routes(archive: Archive, store: Store, settings: Settings) -> list[Route]:
    """Return `/gallery`, its scripts, and what they ask for."""

    async def page(request: Request) -> Response:
        spoken = words(request.query_params.get("lang", settings.language))
        filled = {"language": spoken["language"], "name": spoken["name"], "words": json.dumps(spoken)}
        text = re.sub(r"\{(language|name|words)\}", lambda place: html.escape(filled[place[1]]), _asset("gallery.html"))
        return Response(text, media_type="text/html", headers=_HEADERS)

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _ASSETS:
            return Response(status_code=404, headers=_HEADERS)
        return Response(_asset(name), media_type=_ASSETS[name], headers=_HEADERS)

    async def leaves(request: Request) -> Response:
        asked = request.query_params
        cursor = _CURSOR.fullmatch(asked.get("before", ""))
        before = (float(cursor[1]), cursor[2]) if cursor else None
        found = archive.page(before=before, recipe=asked.get("recipe", ""), day=asked.get("day", ""))
        body = {"dreams": [dream.told() for dream in found]} | (archive.choices() if before is None else {})
        return JSONResponse(body, headers=_HEADERS)

    async def details(request: Request) -> Response:
        job_id = request.path_params["job_id"]
        if not archive.shows(job_id):
            return Response(status_code=404, headers=_HEADERS)
        try:
            sidecar = await aside(lambda: read_sidecar(store, job_id))
        except StoreError:
            return Response(status_code=503, headers=_HEADERS | {"Retry-After": "2"})
        if sidecar is None:
            return Response(status_code=404, headers=_HEADERS)
        return JSONResponse(_told(sidecar), headers=_HEADERS)

    return [
        Route("/gallery", page),
        Route("/gallery/dreams", leaves),
        Route("/gallery/dreams/{job_id}", details),
        Route("/gallery/{name}", asset),
    ]


def _asset(name: str) -> str:
    folder = "wall" if name == "icon.svg" else "gallery"
    return files("display").joinpath("components", folder, name).read_text(encoding="utf-8")


def _told(sidecar: Sidecar) -> dict[str, object]:
    """Return what a guest may know of a dream."""
    wanted = {name for term in sidecar.recipe.objective if isinstance(term, Classes) for name in term.classes}
    return {
        "recipe": sidecar.recipe.name,
        "version": sidecar.recipe.version,
        "seed": sidecar.seed,
        "network": sidecar.network,
        "artworks": sidecar.artworks,
        "size": sidecar.size,
        "seconds": sum(sidecar.stages.values()),
        "verdicts": [(one.name, one.photo, one.dream) for one in sidecar.verdicts if one.name in wanted],
    }
