"""Collection page: a guest sees the pictures that were sent from this phone, or whose share links it opened.

The phone keeps the list: each picture is a cookie with its share link, which only this page gets, and which ends with
the link. The display stores no list, and without the links nothing can be listed.
"""

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from display.i18n import get_requested_texts
from display.pages.navigation import list_guest_pages
from display.pages.share_links import ShareLink, ShareLinks
from display.pages.share_state import DescribeLink, remove_private_fields
from display.web.html import PAGE_HEADERS, asset_route, empty_response, page_response
from display.web.same_origin import is_same_origin
from shared.appearance import Appearance
from shared.public_url import resolve_public_url
from shared.settings import Settings

#: Path of the page, which is also that of the cookies: no other request carries them.
COLLECTION_PATH = "/mine"

#: Beginning of the cookies' names; then follows the beginning of the job's id, so that each dream has one.
_COOKIE_PREFIX = "artdream_mine_"

#: Pictures that a phone keeps: servers refuse headers above 8 kB, and each takes 70 bytes.
MAX_PICTURES = 100

#: States of a link of which the page shows something.
_LISTED_STATES = {"received", "waiting", "emerging", "done", "held", "failed", "refused", "away"}


def remember_picture(response: Response, request: Request, token: str, link: ShareLink) -> None:
    """Let the phone that gets a response keep a share link, until it expires."""
    response.set_cookie(
        _cookie_name(link.job_id),
        token,
        max_age=max(0, round(link.expires_at - time.time())),
        path=COLLECTION_PATH,
        httponly=True,
        samesite="lax",  # strict ones are not sent when a messenger leads to the page
        secure=request.url.scheme == "https",
    )


def collection_routes(
    share_links: ShareLinks, describe_link: DescribeLink, settings: Settings, get_appearance: Callable[[], Appearance]
) -> list[Route]:
    """Return the routes `/mine`, its state, and the assets of the page.

    describe_link: returns what the holder of a link may know.
    """

    def list_links(request: Request) -> list[tuple[ShareLink, str]]:
        """Return the links that a phone keeps, with their tokens, the latest first."""
        links = [(link, token) for token in _read_tokens(request) if (link := share_links.parse_token(token))]
        return sorted(links, key=lambda entry: -entry[0].expires_at)

    def list_pictures(request: Request) -> list[dict[str, object]]:
        """Return what the page shows: the path of each picture's page, and its state."""
        pictures = [(token, describe_link(link)) for link, token in list_links(request)[:MAX_PICTURES]]
        return [
            {"page": f"/t/{token}", **remove_private_fields(state)}
            for token, state in pictures
            if state["state"] in _LISTED_STATES
        ]

    async def get_page(request: Request) -> Response:
        texts = get_requested_texts(request, settings.language)
        pages = await list_guest_pages(settings)
        response = page_response("collection", texts, get_appearance(), pages=pages, pictures=list_pictures(request))
        for link, _ in list_links(request)[MAX_PICTURES:]:
            response.delete_cookie(_cookie_name(link.job_id), path=COLLECTION_PATH)
        return response

    async def get_state(request: Request) -> Response:
        return JSONResponse(list_pictures(request), headers=PAGE_HEADERS)

    async def forget_pictures(request: Request) -> Response:
        if not is_same_origin(request, public_url=resolve_public_url(settings), requires_origin=True):
            return empty_response(403)
        response = empty_response(204)
        for name in request.cookies:
            if name.startswith(_COOKIE_PREFIX):
                response.delete_cookie(name, path=COLLECTION_PATH)
        return response

    return [
        Route(COLLECTION_PATH, get_page),
        Route(f"{COLLECTION_PATH}/state", get_state),
        Route(f"{COLLECTION_PATH}/forget", forget_pictures, methods=["POST"]),
        asset_route(COLLECTION_PATH, "collection"),
    ]


def _read_tokens(request: Request) -> list[str]:
    return [token for name, token in request.cookies.items() if name.startswith(_COOKIE_PREFIX)]


def _cookie_name(job_id: str) -> str:
    return f"{_COOKIE_PREFIX}{job_id[:12]}"
