"""Several ES modules as one: a Streamlit component is given a single script, which can import nothing."""

import posixpath
import re
from functools import cache

from display.web.html import read_component

#: An import as the scripts write it: on one line, by name, from a file beside them.
_IMPORT = re.compile(r'^import \{ [\w, ]+ \} from "(\.[^"]+\.js)";\n', re.MULTILINE)

#: What makes a declaration importable. The entry's own default export stays: it is what Streamlit calls.
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)

#: Whatever this module does not understand, or would change the meaning of.
_UNSUPPORTED = re.compile(r"^(?:import\b.*|export\b(?! default function).*)$", re.MULTILINE)


@cache
def bundle_scripts(entry: str) -> str:
    """Return a module of `display/components` with everything that it imports, each module once, the imported first.

    The modules share one scope, so no two of them may declare the same name at their top level: browsers refuse such a
    script. entry: its path, such as `wall/wall.js`. Raises ValueError for an import or export of any other form, and
    for modules that import each other.
    """
    bodies: dict[str, str] = {}
    _add_module(entry, (), bodies)
    return "\n".join(bodies.values())


def _add_module(path: str, importers: tuple[str, ...], bodies: dict[str, str]) -> None:
    if path in bodies:
        return
    if path in importers:
        raise ValueError(f"{path} imports itself, by way of {', '.join(importers[importers.index(path) + 1 :])}.")
    source = read_component(path)
    for found in _IMPORT.finditer(source):
        imported = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[1]))
        _add_module(imported, (*importers, path), bodies)
    body = _EXPORT.sub("", _IMPORT.sub("", source))
    if unsupported := _UNSUPPORTED.search(body):
        raise ValueError(f"{path}: cannot bundle `{unsupported[0]}`.")
    if importers and "export default" in body:
        raise ValueError(f"{path}: only the entry of a bundle may have a default export.")
    bodies[path] = body.strip() + "\n"
