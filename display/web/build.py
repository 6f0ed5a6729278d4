"""The build: identifies what browsers load from this display, so that an open page notices that it is outdated."""

import hashlib
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path


@cache
def get_build_id() -> str:
    """Return the id of this display's build, which changes with its version and with every script or style sheet."""
    return compute_build_id(version("artdream"), Path(str(files("display").joinpath("components"))))


def compute_build_id(program_version: str, folder: Path) -> str:
    """Return an id of a version and of the names and contents of all files in a folder."""
    digest = hashlib.sha256(program_version.encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"\0{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
