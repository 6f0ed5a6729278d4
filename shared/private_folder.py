"""Folders that no other account of the machine may look into: they have guests' photos, keys and logs."""

from pathlib import Path


def create_private_folder(folder: Path) -> Path:
    """Create a folder and those that lead to it, each for its owner alone, and return it; what exists keeps its mode.

    Raises OSError.
    """
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
