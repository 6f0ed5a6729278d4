"""Gallery: a page without Streamlit, so that phones can scroll through thousands of pictures."""

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from display.i18n import get_requested_texts
from display.pages.navigation import list_guest_pages
from display.state.dream_index import DreamIndex
from display.web.html import asset_route, page_response
from display.web.security_headers import SAME_ORIGIN_SOURCES, build_csp
from shared.appearance import Appearance
from shared.settings import Settings
from shared.storage.sidecar import Sidecar, read_sidecar_async
from shared.storage.store import Store, StoreError

_HEADERS = build_csp(**SAME_ORIGIN_SOURCES) | {"Cache-Control": "no-cache"}

#: Pagination cursor, sent by the page: completion time in seconds and job id of its last dream.
_CURSOR = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)-([0-9a-f]{32})", re.ASCII)


def gallery_routes(
    dream_index: DreamIndex, store: Store, settings: Settings, get_appearance: Callable[[], Appearance]
) -> list[Route]:
    """Return the routes `/gallery`, its assets, and its data: pages of dreams, and the details of a dream."""

    async def get_page(request: Request) -> Response:
        texts = get_requested_texts(request, settings.language)
        return page_response(
            "gallery", texts, get_appearance(), headers=_HEADERS, pages=await list_guest_pages(settings)
        )

    async def list_dreams(request: Request) -> Response:
        query = request.query_params
        cursor = _CURSOR.fullmatch(query.get("before", ""))
        before = (float(cursor[1]), cursor[2]) if cursor else None
        dreams = dream_index.list_page(before=before, recipe=query.get("recipe", ""), day=query.get("day", ""))
        body = {"dreams": [dream.as_json() for dream in dreams]} | (
            dream_index.list_filters() if before is None else {}
        )
        return JSONResponse(body, headers=_HEADERS)

    async def get_dream(request: Request) -> Response:
        job_id = request.path_params["job_id"]
        if not dream_index.is_visible(job_id):
            return Response(status_code=404, headers=_HEADERS)
        try:
            sidecar = await read_sidecar_async(store, job_id)
        except StoreError:
            return Response(status_code=503, headers=_HEADERS | {"Retry-After": "2"})
        if sidecar is None:
            return Response(status_code=404, headers=_HEADERS)
        return JSONResponse(_describe_dream(sidecar), headers=_HEADERS)

    return [
        Route("/gallery", get_page),
        Route("/gallery/dreams", list_dreams),
        Route("/gallery/dreams/{job_id}", get_dream),
        asset_route("/gallery", "gallery"),
    ]


def _describe_dream(sidecar: Sidecar) -> dict[str, object]:
    """Return the details of a dream that are public."""
    return {
        "recipe": sidecar.recipe.name,
        "version": sidecar.recipe.version,
        "seed": sidecar.seed,
        "network": sidecar.network,
        "artworks": sidecar.artworks,
        "size": sidecar.size,
        "seconds": sum(sidecar.stages.values()),
        "verdicts": [(probability.name, probability.photo, probability.dream) for probability in sidecar.evidence],
    }
