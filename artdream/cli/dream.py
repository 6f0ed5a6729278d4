"""Dreams in this process, with no broker: one photo, every recipe side by side, or what a network sees in noise."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from artdream.cli.contact_sheet import Cell, draw_contact_sheet
from producer.decoding.convert import convert
from shared.errors import ArtDreamError
from shared.recipe.recipe import Recipe, build_painter_recipe, load_recipe
from shared.settings import Settings
from shared.storage.store import Store
from worker.quiet_import import quiet_import

if TYPE_CHECKING:
    from worker.dreaming.engine import Engine

#: Painters whose hands are shown beside what two networks see: one from each corner of the map.
COMPARED_PAINTERS = (
    "Vincent van Gogh",
    "Pablo Picasso",
    "Rembrandt",
    "Paul Klee",
    "Gustav Klimt",
    "Claude Monet",
    "Albrecht Dürer",
    "Piet Mondrian",
)


def render_dream(source: Path, target: Path, recipe: Recipe, seed: int, settings: Settings, console: Console) -> None:
    """Dream the photo at source into a JPEG at target. Raises ArtDreamError where either file cannot be used."""
    _require_jpeg(target)
    photo = _load_photo(source)
    engine = _create_engine(settings)
    with _show_progress(console) as progress:
        bar = progress.add_task(recipe.title, total=1.0)
        dreamt = engine.dream(photo, recipe, seed=seed, on_frame=_make_frame_callback(progress, bar))
    _write_jpeg(target, dreamt.pixels)
    _print_result(target, dreamt.pixels, f"recipe “{recipe.name}”, seed {seed}", console)
    for verdict in dreamt.class_probabilities[:1]:
        console.print(f"{verdict.name}: {verdict.photo:.1%} → {verdict.dream:.1%}", markup=False)


def render_contact_sheet(
    source: Path,
    target: Path,
    recipe_names: Sequence[str],
    canvas: int,
    seed: int,
    settings: Settings,
    console: Console,
) -> None:
    """Dream the photo at source with recipes, side by side. Raises ArtDreamError where a file cannot be used."""
    _require_jpeg(target)
    pixels = draw_contact_sheet(render_cells(_load_photo(source), recipe_names, canvas, seed, settings, console))
    _write_jpeg(target, pixels)
    _print_result(target, pixels, f"{len(recipe_names)} recipes, seed {seed}", console)


def render_cells(
    photo: NDArray[np.uint8], recipe_names: Sequence[str], canvas: int, seed: int, settings: Settings, console: Console
) -> list[Cell]:
    """Dream a photo in recipes. Returns the photo, its dreams, and last the recipes whose weights are not here."""
    engine = _create_engine(settings)
    cells = [Cell("The photo", "", photo)]
    with _show_progress(console) as progress:
        bar = progress.add_task("", total=len(recipe_names))
        for name in recipe_names:
            recipe = load_recipe(name).model_copy(update={"canvas": canvas})
            progress.update(bar, description=recipe.title)
            try:
                cells.append(Cell(recipe.title, name, engine.dream(photo, recipe, seed=seed).pixels))
            except ArtDreamError:
                if recipe.stand_in is None:
                    raise
                cells.append(Cell(recipe.title, f"{name}: wants {recipe.network}", None))
            progress.advance(bar)
    return sorted(cells, key=lambda cell: cell.pixels is None)


def render_comparison(
    source: Path,
    target: Path,
    networks: tuple[str, str],
    layers: Sequence[str],
    canvas: int,
    settings: Settings,
    console: Console,
) -> None:
    """Dream the photo at source through the same layers of two networks, and as painters that the first knows.

    Raises ArtDreamError where a file cannot be used, and for a layer that either network lacks.
    """
    _require_jpeg(target)
    photo, engine = _load_photo(source), _create_engine(settings)
    plans = [
        (Cell(network, layer, None), _build_layer_recipe(network, layer)) for layer in layers for network in networks
    ]
    plans += [
        (Cell(painter, networks[0], None), build_painter_recipe(painter, networks[0])) for painter in COMPARED_PAINTERS
    ]
    cells = [Cell("The photo", "", photo)] * len(networks)
    with _show_progress(console) as progress:
        bar = progress.add_task("", total=len(plans))
        for cell, recipe in plans:
            progress.update(bar, description=f"{cell.title}, {cell.note}")
            recipe = recipe.model_copy(update={"canvas": canvas})
            cells.append(cell._replace(pixels=engine.dream(photo, recipe, seed=0).pixels))
            progress.advance(bar)
    pixels = draw_contact_sheet(cells, columns=4)
    _write_jpeg(target, pixels)
    _print_result(target, pixels, f"{networks[0]} and {networks[1]}", console)


def render_feature_visualization(
    target: Path,
    objective: dict[str, Any],
    network: str,
    canvas: int,
    steps: int,
    seed: int,
    settings: Settings,
    console: Console,
) -> None:
    """Paint from noise what makes a part of a network fire. Raises ArtDreamError where there is no such part."""
    _require_jpeg(target)
    ascent = {"optimiser": "adam", "step": 0.05, "jitter": 24, "steps": steps}
    recipe = Recipe.model_validate(
        {"name": "look", "version": 1, "title": "Look", "description": "A look into a network.", "start": "noise"}
        | {"network": network, "canvas": canvas, "objective": [objective], "ascent": ascent}
    )
    engine = _create_engine(settings)
    with _show_progress(console) as progress:
        bar = progress.add_task(network, total=1.0)
        blank = np.zeros((canvas, canvas, 3), np.uint8)
        dreamt = engine.dream(blank, recipe, seed=seed, on_frame=_make_frame_callback(progress, bar))
    _write_jpeg(target, dreamt.pixels)
    _print_result(target, dreamt.pixels, f"network {network}, seed {seed}", console)


def _build_layer_recipe(network: str, layer: str) -> Recipe:
    return Recipe.model_validate(
        {"name": "compared", "version": 1, "title": layer, "description": "A whole layer.", "network": network}
        | {"objective": [{"kind": "layers", "layers": {layer: 1.0}}], "ascent": {"octaves": 6}}
    )


def _create_engine(settings: Settings) -> Engine:
    with quiet_import():
        from worker.dreaming.engine import Engine

    # The installation's own artworks and networks count here too, where there is an installation.
    store = Store(settings.store) if settings.store_url or settings.data.exists() else None
    return Engine.from_settings(settings, store)


def _load_photo(source: Path) -> NDArray[np.uint8]:
    try:
        return np.asarray(Image.open(io.BytesIO(convert(source.read_bytes()).jpeg)))
    except OSError as error:
        raise ArtDreamError(f"{source} cannot be read: {error.strerror}.") from error
    except ArtDreamError as error:
        raise ArtDreamError(f"{source} {error}.") from error


def _require_jpeg(target: Path) -> None:
    if target.suffix.lower() not in (".jpg", ".jpeg"):
        raise ArtDreamError(f"The dream is a JPEG: end {target} with .jpg.")
    if not target.absolute().parent.is_dir():
        raise ArtDreamError(f"The folder of {target} does not exist: create it first.")


def _write_jpeg(target: Path, pixels: NDArray[np.uint8]) -> None:
    from worker.jobs.frames import encode_jpeg

    try:
        target.write_bytes(encode_jpeg(pixels))
    except OSError as error:
        raise ArtDreamError(f"{target} cannot be written: {error.strerror}.") from error


def _print_result(target: Path, pixels: NDArray[np.uint8], description: str, console: Console) -> None:
    height, width = pixels.shape[:2]
    console.print(f"{target}: {width}×{height}, {description}.", soft_wrap=True, markup=False)


@contextmanager
def _show_progress(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


def _make_frame_callback(progress: Progress, task: TaskID) -> Any:
    return lambda frame: progress.update(task, completed=frame.fraction)
