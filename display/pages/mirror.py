"""Mirror page: visitors before a screen with a webcam see themselves painted."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from display.i18n import get_requested_texts
from display.mirror.frame_painter import MAX_MIRRORS, FramePainter
from display.mirror.frame_route import frame_route
from display.pages.navigation import MIRROR_PATH
from display.web.html import PAGE_HEADERS, asset_route, page_response
from shared.appearance import Appearance
from shared.settings import Settings
from shared.stylizer import StylizerMetadata

#: The only page that may use a camera.
_HEADERS = PAGE_HEADERS | {"Permissions-Policy": "camera=(self), microphone=()"}


def mirror_routes(
    painter: FramePainter, stylizer: StylizerMetadata, settings: Settings, get_appearance: Callable[[], Appearance]
) -> list[BaseRoute]:
    """Return the routes `/mirror`, its assets, and `/mirror/frames`, where frames are painted."""

    async def get_page(request: Request) -> Response:
        texts = get_requested_texts(request, settings.language)
        return page_response(
            "mirror",
            texts,
            get_appearance(),
            headers=_HEADERS,
            styles=list(stylizer.styles),
            side=stylizer.side,
            max_mirrors=MAX_MIRRORS,
        )

    return [
        Route(MIRROR_PATH, get_page),
        frame_route(f"{MIRROR_PATH}/frames", painter, len(stylizer.styles), settings),
        asset_route(MIRROR_PATH, "mirror"),
    ]
