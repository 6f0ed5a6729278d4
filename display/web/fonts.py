"""Fonts: Newsreader for every page, served from the package, so that no page needs the internet."""

import json
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from display.web.security_headers import DENY_ALL_CSP

#: The CSS family, and the stack with the fallbacks that are used until it is loaded.
FONT_FAMILY = "Newsreader"
FONT_STACK = f"{FONT_FAMILY}, Georgia, serif"

#: Version of `@fontsource/newsreader` and `@fontsource-variable/newsreader` (npm), whose files are used unchanged. It
#: is part of each font's URL, so that browsers may cache a URL forever.
FONT_VERSION = "5.3.0"

_LATIN_RANGE = (
    "U+0000-00FF, U+0131, U+0152-0153, U+02BB-02BC, U+02C6, U+02DA, U+02DC, U+0304, U+0308, U+0329, U+2000-206F, "
    "U+20AC, U+2122, U+2191, U+2193, U+2212, U+2215, U+FEFF, U+FFFD"
)
_LATIN_EXTENDED_RANGE = (
    "U+0100-02BA, U+02BD-02C5, U+02C7-02CC, U+02CE-02D7, U+02DD-02FF, U+0304, U+0308, U+0329, U+1D00-1DBF, "
    "U+1E00-1E9F, U+1EF2-1EFF, U+2020, U+20A0-20AB, U+20AD-20C0, U+2113, U+2C60-2C7F, U+A720-A7FF"
)

#: File → font-weight, font-style, unicode-range.
_FONT_FACES = {
    "newsreader-latin-wght-normal.woff2": ("200 800", "normal", _LATIN_RANGE),
    "newsreader-latin-ext-wght-normal.woff2": ("200 800", "normal", _LATIN_EXTENDED_RANGE),
    "newsreader-latin-400-italic.woff2": ("400", "italic", _LATIN_RANGE),
    "newsreader-latin-ext-400-italic.woff2": ("400", "italic", _LATIN_EXTENDED_RANGE),
}

#: The font that pages preload: most text needs it.
PRELOADED_FONT_URL = f"/fonts/{FONT_VERSION}/{next(iter(_FONT_FACES))}"

_IMMUTABLE_HEADERS = DENY_ALL_CSP | {"Cache-Control": "public, max-age=31536000, immutable"}


def build_streamlit_font_options() -> dict[str, object]:
    """Return the options that make Streamlit's pages use the font."""
    faces = [
        {"family": FONT_FAMILY, "url": _font_url(name), "weight": weight, "style": style, "unicodeRange": characters}
        for name, (weight, style, characters) in _FONT_FACES.items()
    ]
    return {"theme.font": FONT_STACK, "theme.headingFont": FONT_STACK, "theme.fontFaces": json.dumps(faces)}


def font_routes() -> list[Route]:
    """Return the routes `/fonts/fonts.css` and `/fonts/<version>/<file>`."""

    async def get_stylesheet(_: Request) -> Response:
        return Response(
            _build_stylesheet(), media_type="text/css", headers=DENY_ALL_CSP | {"Cache-Control": "no-cache"}
        )

    async def get_font(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FONT_FACES:
            return Response(status_code=404, headers=DENY_ALL_CSP)
        data = files("display").joinpath("components", "fonts", name).read_bytes()
        return Response(data, media_type="font/woff2", headers=_IMMUTABLE_HEADERS)

    return [Route("/fonts/fonts.css", get_stylesheet), Route(f"/fonts/{FONT_VERSION}/{{name}}", get_font)]


def _build_stylesheet() -> str:
    return "\n".join(
        f"@font-face {{ font-family: {FONT_FAMILY}; font-style: {style}; font-weight: {weight}; font-display: swap; "
        f'src: url("{_font_url(name)}") format("woff2"); unicode-range: {characters}; }}'
        for name, (weight, style, characters) in _FONT_FACES.items()
    )


def _font_url(name: str) -> str:
    return f"/fonts/{FONT_VERSION}/{name}"
