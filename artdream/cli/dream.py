"""Render dreams in this process without a broker: single photos, contact sheets and feature visualizations."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import Progress, TaskID, TimeElapsedColumn

from artdream.cli.contact_sheet import Cell, draw_contact_sheet
from artdream.cli.networks import open_networks
from artdream.cli.options import require_folder
from artdream.cli.progress import show_progress_bars
from producer.decoding.convert import convert
from shared.errors import ArtDreamError
from shared.provenance.embedding import embed
from shared.provenance.signing import ManifestSigner, load_signer
from shared.provenance.statement import SourceType, Statement
from shared.recipe.recipe import Recipe, build_painter_recipe, load_recipe
from shared.settings import Settings
from shared.storage.store import Store
from worker.quiet_import import quiet_import

if TYPE_CHECKING:
    from worker.dreamer import DreamResult
    from worker.dreaming.engine import Engine

#: How the names of pictures end that can be written, and the formats of those that are no JPEG.
_JPEG_SUFFIXES, _OTHER_FORMATS = (".jpg", ".jpeg"), {".png": "PNG", ".webp": "WEBP"}

#: Quality of a WebP, from 1 to 100; dreams are full of fine color.
_WEBP_QUALITY = 92

#: Painters in a comparison of two networks; they lie far apart in the embedding map.
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


def choose_painter_recipe(painter: str, network: str, settings: Settings) -> Recipe:
    """Return the recipe of a painter whom a network knows, by class alone if it has no style statistics."""
    has_statistics = open_networks(settings).style_statistics(network) is not None
    return build_painter_recipe(painter, network, has_statistics=has_statistics)


def render_dream(source: Path, target: Path, recipe: Recipe, seed: int, settings: Settings, console: Console) -> None:
    """Render the photo at `source` to a picture at `target`. Raises ArtDreamError if either file cannot be used."""
    validate_target(target, source)
    signer = load_signer(settings)
    photo = _load_photo(source)
    engine = create_engine(settings)
    with show_progress_bars(console, TimeElapsedColumn()) as progress:
        task = progress.add_task(recipe.title, total=1.0)
        dream = engine.dream(photo, recipe, seed=seed, on_frame=_make_frame_callback(progress, task))
    write_picture(target, dream.pixels, _describe(dream, recipe, seed), signer)
    _print_result(target, dream.pixels, f"recipe “{recipe.name}”, seed {seed}", console)
    for probability in dream.class_probabilities[:1]:
        critic = "the recipe's own network" if dream.critic == recipe.network else dream.critic
        console.print(
            f"According to {critic}, {probability.name}: {probability.photo:.1%} → {probability.dream:.1%}",
            markup=False,
        )


def render_contact_sheet(
    source: Path,
    target: Path,
    recipe_names: Sequence[str],
    canvas: int,
    seed: int,
    settings: Settings,
    console: Console,
) -> None:
    """Render the photo at `source` with several recipes to a contact sheet at `target`.

    canvas: long side in pixels. Raises ArtDreamError if a file cannot be used.
    """
    validate_target(target, source)
    pixels = draw_contact_sheet(render_cells(_load_photo(source), recipe_names, canvas, seed, settings, console))
    write_picture(target, pixels, Statement.brief())
    _print_result(target, pixels, f"{len(recipe_names)} recipes, seed {seed}", console)


def render_cells(
    photo: NDArray[np.uint8], recipe_names: Sequence[str], canvas: int, seed: int, settings: Settings, console: Console
) -> list[Cell]:
    """Render a photo with several recipes. photo: RGB, (height, width, 3). canvas: long side in pixels.

    Returns the photo, its dreams, and last the empty cells of recipes whose weights are missing. Raises ArtDreamError
    for a recipe that cannot be rendered and has no stand-in.
    """
    engine = create_engine(settings)
    cells = [Cell("The photo", "", photo)]
    with show_progress_bars(console, TimeElapsedColumn()) as progress:
        task = progress.add_task("", total=len(recipe_names))
        for name in recipe_names:
            recipe = load_recipe(name).model_copy(update={"canvas": canvas, "size": None})
            progress.update(task, description=recipe.title)
            try:
                cells.append(Cell(recipe.title, name, engine.dream(photo, recipe, seed=seed).pixels))
            except ArtDreamError:
                if recipe.stand_in is None:
                    raise
                cells.append(Cell(recipe.title, f"{name}: needs {recipe.network}", None))
            progress.advance(task)
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
    """Render the photo at `source` with the same layers of two networks, and as painters of the first network.

    canvas: long side in pixels. Raises ArtDreamError if a file cannot be used, or a layer is missing in a network.
    """
    validate_target(target, source)
    photo, engine = _load_photo(source), create_engine(settings)
    renderings = [
        (Cell(network, layer, None), _build_layer_recipe(network, layer)) for layer in layers for network in networks
    ]
    renderings += [
        (Cell(painter, networks[0], None), build_painter_recipe(painter, networks[0], has_statistics=False))
        for painter in COMPARED_PAINTERS
    ]
    cells = [Cell("The photo", "", photo)] * len(networks)
    with show_progress_bars(console, TimeElapsedColumn()) as progress:
        task = progress.add_task("", total=len(renderings))
        for cell, recipe in renderings:
            progress.update(task, description=f"{cell.title}, {cell.note}")
            recipe = recipe.model_copy(update={"canvas": canvas, "size": None})
            cells.append(cell._replace(pixels=engine.dream(photo, recipe, seed=0).pixels))
            progress.advance(task)
    pixels = draw_contact_sheet(cells, columns=4)
    write_picture(target, pixels, Statement.brief())
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
    """Render from noise a picture that maximizes an objective of a network, to `target`.

    objective: a recipe's objective, as a dict. canvas: side in pixels. Raises ArtDreamError if the network has no such
    layer, channel or class, or the file cannot be written.
    """
    validate_target(target)
    ascent = {"optimiser": "adam", "step": 0.05, "jitter": 24, "steps": steps}
    recipe = Recipe.model_validate(
        {"name": "look", "version": 1, "title": "Look", "description": "A look into a network.", "start": "noise"}
        | {"network": network, "canvas": canvas, "objective": [objective], "ascent": ascent}
    )
    engine = create_engine(settings)
    with show_progress_bars(console, TimeElapsedColumn()) as progress:
        task = progress.add_task(network, total=1.0)
        blank = np.zeros((canvas, canvas, 3), np.uint8)
        dream = engine.dream(blank, recipe, seed=seed, on_frame=_make_frame_callback(progress, task))
    write_picture(target, dream.pixels, _describe(dream, recipe, seed, SourceType.TRAINED))
    _print_result(target, dream.pixels, f"network {network}, seed {seed}", console)


def _build_layer_recipe(network: str, layer: str) -> Recipe:
    return Recipe.model_validate(
        {"name": "compared", "version": 1, "title": layer, "description": "A whole layer.", "network": network}
        | {"objective": [{"kind": "layers", "layers": {layer: 1.0}}], "ascent": {"octaves": 6}}
    )


def create_engine(settings: Settings) -> Engine:
    """Create an engine with the networks and reference images of an installation, if there is one."""
    with quiet_import():
        from worker.dreaming.engine import Engine

    # An existing installation's store provides its reference images and trained networks; none is created here.
    store = Store(settings.store) if settings.store_url or settings.data.exists() else None
    return Engine.from_settings(settings, store)


def _load_photo(source: Path) -> NDArray[np.uint8]:
    try:
        return np.asarray(Image.open(io.BytesIO(convert(source.read_bytes()).jpeg)))
    except OSError as error:
        raise ArtDreamError(f"{source} cannot be read: {error.strerror}.") from error
    except ArtDreamError as error:
        raise ArtDreamError(f"{source} {error}.") from error


def validate_target(target: Path, source: Path | None = None) -> None:
    """Raise ArtDreamError if a picture cannot be written to `target`, or would replace the photo at `source`."""
    if target.suffix.lower() not in (*_JPEG_SUFFIXES, *_OTHER_FORMATS):
        raise ArtDreamError(f"The dream is a JPEG, PNG or WebP: end {target} with .jpg, .png or .webp.")
    require_folder(target)
    if source is not None and source.exists() and target.exists() and target.samefile(source):
        raise ArtDreamError(f"{target} is the picture that is read: name another file for the result.")


def _describe(
    dream: DreamResult, recipe: Recipe, seed: int, source_type: SourceType = SourceType.COMPOSITE
) -> Statement:
    return Statement.of_recipe(
        recipe, seed=seed, weights=dream.weights_sha256, created_at=time.time(), source_type=source_type
    )


def write_picture(
    target: Path, pixels: NDArray[np.uint8], statement: Statement, signer: ManifestSigner | None = None
) -> None:
    """Write a picture in the format that the file's name ends with, and what it says about itself."""
    from worker.jobs.frames import encode_jpeg

    try:
        if target.suffix.lower() in _JPEG_SUFFIXES:
            target.write_bytes(encode_jpeg(pixels, statement=statement, signer=signer))
            return
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, _OTHER_FORMATS[target.suffix.lower()], quality=_WEBP_QUALITY)
        target.write_bytes(embed(buffer.getvalue(), statement))
    except OSError as error:
        raise ArtDreamError(f"{target} cannot be written: {error.strerror}.") from error


def _print_result(target: Path, pixels: NDArray[np.uint8], description: str, console: Console) -> None:
    height, width = pixels.shape[:2]
    console.print(f"{target}: {width}×{height}, {description}.", soft_wrap=True, markup=False)


def _make_frame_callback(progress: Progress, task: TaskID) -> Any:
    return lambda frame: progress.update(task, completed=frame.fraction)
