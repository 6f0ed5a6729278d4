"""Appearance routes: the style sheet of the theme, and the logos."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from display.media.pictures import Pictures
from display.web.security_headers import DENY_ALL_CSP
from display.web.theme import build_theme_css
from shared.appearance import Appearance
from shared.storage.object_names import LOGO_NAME, logo_name
from shared.storage.store import StoreError


def appearance_routes(get_appearance: Callable[[], Appearance], pictures: Pictures) -> list[Route]:
    """Return the routes `/event/theme.css` and `/event/logos/<sha256>.png`. get_appearance: returns the current one."""

    async def get_theme(_: Request) -> Response:
        headers = DENY_ALL_CSP | {"Cache-Control": "no-cache"}
        return Response(build_theme_css(get_appearance()), media_type="text/css", headers=headers)

    async def get_logo(request: Request) -> Response:
        name = logo_name(request.path_params["sha256"])
        headers = DENY_ALL_CSP | {"Cache-Control": "no-store"}
        if not LOGO_NAME.fullmatch(name):
            return Response(status_code=404, headers=headers)
        try:
            data = await pictures.get(name)
        except StoreError:
            return Response(status_code=503, headers=headers | {"Retry-After": "2"})
        if data is None:
            return Response(status_code=404, headers=headers)
        headers["Cache-Control"] = "public, max-age=31536000, immutable"  # it is named by its content
        return Response(data, media_type="image/png", headers=headers)

    return [Route("/event/theme.css", get_theme), Route("/event/logos/{sha256}.png", get_logo)]
