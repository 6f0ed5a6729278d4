"""QR codes: links to a dream's page for guests' phones, as SVG."""

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

#: Width of the light border in modules, as the standard requires (ISO/IEC 18004, 9.1).
QUIET_ZONE_MODULES = 4

#: The wall's own dark and light color; a contrast of 16:1 is more than any camera needs.
_DARK_COLOR, _LIGHT_COLOR = "#0b0a09", "#f6f1e7"

_JOB_ID = re.compile("[0-9a-f]{32}", re.ASCII)


@lru_cache(256)
def make_qr_svg(url: str) -> bytes:
    """Return the QR code of a URL as SVG that scales to its container."""
    # The lowest error correction gives the largest modules, which are readable from farther away. segno raises the
    # level if the code gets no larger.
    svg = io.BytesIO()
    qr_code = segno.make(url, error="l", micro=False)
    qr_code.save(
        svg, "svg", border=QUIET_ZONE_MODULES, dark=_DARK_COLOR, light=_LIGHT_COLOR, xmldecl=False, omitsize=True
    )
    return svg.getvalue()


def qr_routes(dream_index: DreamIndex, share_links: ShareLinks) -> list[Route]:
    """Return the route `/qr/<job id>.svg`. It answers 404 if the dream is not visible or there is no public URL."""

    async def get_qr_code(request: Request) -> Response:
        job_id = request.path_params["job_id"]
        if not _JOB_ID.fullmatch(job_id) or not dream_index.is_visible(job_id):
            return empty_response()
        return qr_response(share_links.make_url(job_id))

    return [Route("/qr/{job_id}.svg", get_qr_code)]


def qr_response(url: str | None) -> Response:
    """Return the QR code of a URL as a response, 404 for None."""
    if url is None:
        return empty_response()
    return Response(make_qr_svg(url), media_type="image/svg+xml", headers=PAGE_HEADERS)
