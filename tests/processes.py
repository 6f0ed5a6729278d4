"""Processes that a process has started."""

from contextlib import suppress

import psutil


def list_children(parent: int, module: str) -> list[psutil.Process]:
    """Return the children of a process that run a module, `python -m MODULE`; one that ends meanwhile is left out."""
    running = []
    for child in psutil.Process(parent).children():
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and module in child.cmdline():
                running.append(child)
    return running
