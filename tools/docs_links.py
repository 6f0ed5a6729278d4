"""A hook of MkDocs: links to files outside of docs/ become their paths, because the site does not have these files."""

import re
from typing import Any

#: A link to a file outside of docs/, from a page in it or in a folder of it.
_OUTSIDE_LINK = re.compile(r"\[([^\]]*)\]\((?:\.\./)+((?!decisions/)[\w./-]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Return a page's Markdown for the site."""
    depth = page.file.src_uri.count("/")

    def replace(link: "re.Match[str]") -> str:
        if link[0].count("../") <= depth:  # still within docs/
            return link[0]
        return f"{link[1]} (`{link[2]}`)" if link[1] != link[2] else f"`{link[2]}`"

    return _OUTSIDE_LINK.sub(replace, markdown)
