"""The QR codes: what a phone's camera reads off the wall."""

import io
import re
from functools import lru_cache

import segno
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from display.pages.share_links import ShareLinks
from display.state.dream_index import DreamIndex
from display.web.html import PAGE_HEADERS, empty_response

#: Modules of light around the code: what the standard asks for (ISO/IEC 18004, 9.1).
QUIET_ZONE_MODULES = 4

#: The wall's own ink and paper, so that it is a plate and no hole in the wall; 16 : 1 is more than any camera needs.
_DARK_COLOR, _LIGHT_COLOR = "#0b0a09", "#f6f1e7"

_JOB_ID = re.compile("[0-9a-f]{32}", re.ASCII)


@lru_cache(256)
def make_qr_svg(url: str) -> bytes:
    """Return a QR code as SVG, as large as it is shown."""
    # The lowest level of correction: nothing covers it, and larger modules reach further. What is free is used anyway.
    drawn = io.BytesIO()
    made = segno.make(url, error="l", micro=False)
    made.save(
        drawn, "svg", border=QUIET_ZONE_MODULES, dark=_DARK_COLOR, light=_LIGHT_COLOR, xmldecl=False, omitsize=True
    )
    return drawn.getvalue()


def qr_routes(dream_index: DreamIndex, share_links: ShareLinks) -> list[Route]:
    """Return `/qr/<job>.svg`: 404 where there is no such dream to show, or no phone could follow the link."""

    async def get_qr_code(request: Request) -> Response:
        job_id = request.path_params["job_id"]
        if not _JOB_ID.fullmatch(job_id) or not dream_index.is_visible(job_id):
            return empty_response()
        return qr_response(share_links.make_url(job_id))

    return [Route("/qr/{job_id}.svg", get_qr_code)]


def qr_response(url: str | None) -> Response:
    """Answer with the code of an address; 404 where there is none."""
    if url is None:
        return empty_response()
    return Response(make_qr_svg(url), media_type="image/svg+xml", headers=PAGE_HEADERS)
