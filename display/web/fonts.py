"""The typeface of every page: Newsreader, out of the package, so that a wall without internet looks like any other."""

import json
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from display.web.security_headers import NOTHING

#: Its family, and what stands in while it comes.
FAMILY = "Newsreader"
STACK = f"{FAMILY}, Georgia, serif"

#: The files of `@fontsource/newsreader` and `@fontsource-variable/newsreader` (npm), as they are; a name that was
#: served never has other bytes, for the version stands before it.
VERSION = "5.3.0"

_LATIN = (
    "U+0000-00FF, U+0131, U+0152-0153, U+02BB-02BC, U+02C6, U+02DA, U+02DC, U+0304, U+0308, U+0329, U+2000-206F, "
    "U+20AC, U+2122, U+2191, U+2193, U+2212, U+2215, U+FEFF, U+FFFD"
)
_EXTENDED = (
    "U+0100-02BA, U+02BD-02C5, U+02C7-02CC, U+02CE-02D7, U+02DD-02FF, U+0304, U+0308, U+0329, U+1D00-1DBF, "
    "U+1E00-1E9F, U+1EF2-1EFF, U+2020, U+20A0-20AB, U+20AD-20C0, U+2113, U+2C60-2C7F, U+A720-A7FF"
)

#: File → weights, style, characters.
_FACES = {
    "newsreader-latin-wght-normal.woff2": ("200 800", "normal", _LATIN),
    "newsreader-latin-ext-wght-normal.woff2": ("200 800", "normal", _EXTENDED),
    "newsreader-latin-400-italic.woff2": ("400", "italic", _LATIN),
    "newsreader-latin-ext-400-italic.woff2": ("400", "italic", _EXTENDED),
}

#: What a page is told to fetch first: without it no word can be drawn.
FIRST = f"/fonts/{VERSION}/{next(iter(_FACES))}"

_FOREVER = NOTHING | {"Cache-Control": "public, max-age=31536000, immutable"}


def streamlit_fonts() -> dict[str, object]:
    """Return the options that make Streamlit's own pages use the typeface."""
    faces = [
        {"family": FAMILY, "url": _url(name), "weight": weight, "style": style, "unicodeRange": characters}
        for name, (weight, style, characters) in _FACES.items()
    ]
    return {"theme.font": STACK, "theme.headingFont": STACK, "theme.fontFaces": json.dumps(faces)}


def typeface_routes() -> list[Route]:
    """Return `/fonts/fonts.css` and the files that it names."""

    async def sheet(_: Request) -> Response:
        return Response(_sheet(), media_type="text/css", headers=NOTHING | {"Cache-Control": "no-cache"})

    async def face(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FACES:
            return Response(status_code=404, headers=NOTHING)
        data = files("display").joinpath("components", "fonts", name).read_bytes()
        return Response(data, media_type="font/woff2", headers=_FOREVER)

    return [Route("/fonts/fonts.css", sheet), Route(f"/fonts/{VERSION}/{{name}}", face)]


def _sheet() -> str:
    return "\n".join(
        f"@font-face {{ font-family: {FAMILY}; font-style: {style}; font-weight: {weight}; font-display: swap; "
        f'src: url("{_url(name)}") format("woff2"); unicode-range: {characters}; }}'
        for name, (weight, style, characters) in _FACES.items()
    )


def _url(name: str) -> str:
    return f"/fonts/{VERSION}/{name}"
