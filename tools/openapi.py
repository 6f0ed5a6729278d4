"""The OpenAPI document of the HTTP API, docs/openapi.json: `python -m tools.openapi` prints it."""

import json

from display.api.app import build_document, create_api


def render_document() -> str:
    """Return the document as text."""
    return json.dumps(build_document(create_api(None)), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(render_document(), end="")  # noqa: T201
