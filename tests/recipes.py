"""Recipes that render fast, for tests of the pipeline around a dream and not of the dream itself."""

from pathlib import Path

RECIPE_TEMPLATE = """
name = "{name}"
version = 1
title = "{title}"
description = "A dream for tests."
network = "lite"
canvas = 256
{size}
ascent = {{ octaves = 1, steps = {steps} }}

[objective]
kind = "layers"
layers = {{ block4 = 1.0 }}
"""


def write_recipe(folder: Path, name: str = "sketch", *, steps: int = 2, size: int | None = None) -> Path:
    """Write a valid recipe with few steps into a folder and return its path. size: long side of its dreams."""
    path = folder / f"{name}.toml"
    path.write_text(
        RECIPE_TEMPLATE.format(name=name, title=name.capitalize(), steps=steps, size=f"size = {size}" if size else "")
    )
    return path
