"""Displays in processes of their own that begin with everything imported, for that takes longer than most tests."""

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["display.server", __name__])


def fork(environment: Mapping[str, str], said: Path) -> BaseProcess:
    """Start a display with an environment; what it says is written into a file."""
    process = _FORKS.Process(target=_serve, args=(dict(environment), said), daemon=True)
    process.start()
    return process


def _serve(environment: dict[str, str], said: Path) -> None:
    from display.server import serve
    from shared.settings import Settings

    with said.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    serve(Settings.read())
