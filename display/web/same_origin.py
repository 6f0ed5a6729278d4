"""Same-origin check: does a request come from this display's own page, or from another site in the same browser?"""

from starlette.requests import HTTPConnection


def is_same_origin(request: HTTPConnection, *, public_url: str | None = None, requires_origin: bool = False) -> bool:
    """Return whether the headers that browsers send by themselves name this display (protection against CSRF).

    public_url: a further origin of this display, behind a proxy. requires_origin: whether a request without the header
    Origin is refused; programs that are no browsers send none.
    """
    if request.headers.get("sec-fetch-site") not in (None, "same-origin"):
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return not requires_origin
    return origin.partition("//")[2] == request.headers.get("host") or origin == public_url
