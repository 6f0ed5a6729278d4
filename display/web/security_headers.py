"""Security headers: no framing, no content sniffing, and a Content-Security-Policy per page."""

import base64
import hashlib
import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Headers of every response, unless its route sets them.
DEFAULT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=()",
}

_CSP_HEADER = "Content-Security-Policy"

#: An inline script of a page.
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def build_csp(**sources: str) -> dict[str, str]:
    """Return the Content-Security-Policy header that allows the given sources and nothing else.

    sources: source lists in the syntax of CSP Level 3, by directive name without `-src`; `form` is the source list of
    `form-action`.
    """
    form_action = sources.pop("form", "'none'")
    directives = "".join(f" {name}-src {source_list};" for name, source_list in sources.items())
    return {
        _CSP_HEADER: f"default-src 'none';{directives} base-uri 'none'; form-action {form_action}; "
        "frame-ancestors 'none'"
    }


#: For responses that load nothing, such as pictures.
DENY_ALL_CSP = build_csp()

#: Sources for the pages without Streamlit: everything from this display.
SAME_ORIGIN_SOURCES = {
    "script": "'self'",
    "style": "'self'",
    "font": "'self'",
    "img": "'self' blob:",
    "media": "'self'",
    "connect": "'self'",
}


def build_streamlit_csp(html: str) -> dict[str, str]:
    """Return the Content-Security-Policy header for Streamlit's page. html: the page, whose inline scripts are allowed.

    Streamlit loads components from blobs, its tables compile WebAssembly and embed a font as a data URL, and its
    scripts insert style elements.
    """
    inline_hashes = " ".join(f"'sha256-{_hash_script(script)}'" for script in _INLINE_SCRIPT.findall(html))
    return build_csp(
        **SAME_ORIGIN_SOURCES
        | {
            "script": f"'self' {inline_hashes} blob: 'wasm-unsafe-eval'",
            "font": "'self' data:",
            "style": "'self' 'unsafe-inline'",
            "img": "'self' data: blob:",
        },
    )


def _hash_script(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


class SecurityHeadersMiddleware:
    """ASGI middleware that adds headers to every HTTP response; headers set by the route take precedence."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection; only HTTP responses are changed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
