"""One photo dreamt in this process, with no broker, no store and no display."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from producer.convert import convert
from shared.errors import ArtDreamError
from shared.recipe import Recipe
from worker.silence import silence


def dream_file(source: Path, target: Path, recipe: Recipe, seed: int, console: Console) -> None:
    """Dream the photo at source into a JPEG at target. Raises ArtDreamError where either file cannot be used."""
    if target.suffix.lower() not in (".jpg", ".jpeg"):
        raise ArtDreamError(f"The dream is a JPEG: end {target} with .jpg.")
    if not target.absolute().parent.is_dir():
        raise ArtDreamError(f"The folder of {target} does not exist: create it first.")
    try:
        photo = convert(source.read_bytes())
    except OSError as error:
        raise ArtDreamError(f"{source} cannot be read: {error.strerror}.") from error
    except ArtDreamError as error:
        raise ArtDreamError(f"{source} {error}.") from error
    with silence():
        from worker.dream import dream
        from worker.frames import jpeg

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(f"{recipe.title}", total=1.0)
        pixels = dream(
            np.asarray(Image.open(io.BytesIO(photo.jpeg))),
            recipe,
            seed=seed,
            on_frame=lambda frame: progress.update(bar, completed=frame.fraction),
        )
    try:
        target.write_bytes(jpeg(pixels))
    except OSError as error:
        raise ArtDreamError(f"{target} cannot be written: {error.strerror}.") from error
    height, width = pixels.shape[:2]
    console.print(f"{target}: {width}×{height}, recipe “{recipe.name}”, seed {seed}.", soft_wrap=True, markup=False)
