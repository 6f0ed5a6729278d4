"""Guest ids: a cookie tells one phone from another for a day, for limits and for fair ordering."""

import re
import secrets

from starlette.requests import Request
from starlette.responses import Response

#: The cookie with a random guest id.
GUEST_COOKIE = "artdream_guest"

_GUEST_ID = re.compile("[0-9a-f]{16}", re.ASCII)

#: Lifetime of the cookie: a guest stays the same guest for one day.
_COOKIE_LIFETIME_SECONDS = 24 * 3600


def get_guest_id(request: Request) -> str:
    """Return the guest id in a request's cookie; without a valid one, a new id that stays the same for the request."""
    guest_id = request.cookies.get(GUEST_COOKIE, "")
    if not _GUEST_ID.fullmatch(guest_id):
        guest_id = getattr(request.state, "guest", "") or secrets.token_hex(8)
        request.state.guest = guest_id
    return guest_id


def set_guest_cookie(response: Response, request: Request) -> None:
    """Let a phone keep its guest id for another day."""
    secure = request.url.scheme == "https"
    guest = get_guest_id(request)
    response.set_cookie(
        GUEST_COOKIE, guest, max_age=_COOKIE_LIFETIME_SECONDS, httponly=True, samesite="strict", secure=secure
    )
