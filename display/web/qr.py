"""The QR codes: what a phone's camera reads off the wall."""

import io
import re
from functools import lru_cache

import segno
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from display.pages.share_links import Links
from display.state.dream_index import Archive
from display.web.html import HEADERS, nothing

#: Modules of light around the code: what the standard asks for (ISO/IEC 18004, 9.1).
QUIET = 4

#: The wall's own ink and paper, so that it is a plate and no hole in the wall; 16 : 1 is more than any camera needs.
_DARK, _LIGHT = "#0b0a09", "#f6f1e7"

_JOB = re.compile("[0-9a-f]{32}", re.ASCII)


@lru_cache(256)
def code(address: str) -> bytes:
    """Return a QR code as SVG, as large as it is shown."""
    # The lowest level of correction: nothing covers it, and larger modules reach further. What is free is used anyway.
    drawn = io.BytesIO()
    made = segno.make(address, error="l", micro=False)
    made.save(drawn, "svg", border=QUIET, dark=_DARK, light=_LIGHT, xmldecl=False, omitsize=True)
    return drawn.getvalue()


def code_routes(archive: Archive, links: Links) -> list[Route]:
    """Return `/qr/<job>.svg`: 404 where there is no such dream to show, or no phone could follow the link."""

    async def dream(request: Request) -> Response:
        job_id = request.path_params["job_id"]
        if not _JOB.fullmatch(job_id) or not archive.shows(job_id):
            return nothing()
        return drawn(links.url(job_id))

    return [Route("/qr/{job_id}.svg", dream)]


def drawn(address: str | None) -> Response:
    """Answer with the code of an address; 404 where there is none."""
    if address is None:
        return nothing()
    return Response(code(address), media_type="image/svg+xml", headers=HEADERS)
