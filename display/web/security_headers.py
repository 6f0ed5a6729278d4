"""What every answer tells the browser: to be framed by nobody, to guess nothing, to fetch from nowhere else."""

import base64
import hashlib
import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Of all answers, where a route says nothing else.
DEFAULT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_CSP_HEADER = "Content-Security-Policy"

#: The scripts that a page carries in itself.
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def build_csp(**sources: str) -> dict[str, str]:
    """Return the header that allows a page what is named here, and nothing else.

    sources: by directive without its `-src`, what may be fetched, as CSP Level 3 writes it; `form` is where
    forms may go.
    """
    form = sources.pop("form", "'none'")
    allowed = "".join(f" {name}-src {source};" for name, source in sources.items())
    return {_CSP_HEADER: f"default-src 'none';{allowed} base-uri 'none'; form-action {form}; frame-ancestors 'none'"}


#: What is looked at by itself, as a picture, and needs nothing.
DENY_ALL_CSP = build_csp()

#: What the pages beside Streamlit's are made of.
SAME_ORIGIN_SOURCES = {
    "script": "'self'",
    "style": "'self'",
    "font": "'self'",
    "img": "'self' blob:",
    "media": "'self'",
    "connect": "'self'",
}


def build_streamlit_csp(html: str) -> dict[str, str]:
    """Return the header that Streamlit works with. page: the text of its page, for the scripts in it.

    Its components come as blobs, its tables read WebAssembly and a font out of their own script, and its styles are
    written by scripts.
    """
    inline = " ".join(f"'sha256-{_hash_script(script)}'" for script in _INLINE_SCRIPT.findall(html))
    return build_csp(
        **SAME_ORIGIN_SOURCES
        | {
            "script": f"'self' {inline} blob: 'wasm-unsafe-eval'",
            "font": "'self' data:",
            "style": "'self' 'unsafe-inline'",
            "img": "'self' data: blob:",
        },
    )


def _hash_script(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


class SecurityHeadersMiddleware:
    """An application whose answers all have the headers; those that a route gave itself stay."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
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
