"""Displays forked from a process that has loaded everything: loading it takes longer than most tests."""

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload([f"{__package__}.warm_display", __name__])


def start_display(environment: Mapping[str, str], output_path: Path) -> BaseProcess:
    """Start a display with an environment; its stdout and stderr are appended to a file."""
    process = _FORKSERVER.Process(target=_serve, args=(dict(environment), output_path), daemon=True)
    process.start()
    return process


def _serve(environment: dict[str, str], output_path: Path) -> None:
    from display.server import serve
    from shared.settings import Settings

    with output_path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    serve(Settings.read())
