"""`artdream train-stylizer`: train the network of the mirror."""

import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from artdream.cli.command import command
from artdream.cli.networks import open_networks
from artdream.cli.options import (
    REPEAT_HINT,
    DataOption,
    console,
    declare_network_option,
    declare_seed_option,
    declare_sheet_option,
    load_settings,
)
from artdream.cli.progress import show_progress_bar
from shared.errors import ArtDreamError
from worker.training.stylizer.config import StylizerConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

stylizer = typer.Typer()

#: The configuration without options.
DEFAULTS = StylizerConfig()

#: Pictures on a contact sheet, from the folder's beginning, middle and end.
SHEET_PICTURES = 6


@command(
    stylizer,
    name="train-stylizer",
    examples=[
        "artdream train-stylizer --pictures photos --out stylizer",
        'artdream train-stylizer --pictures photos --out klee --painter "Paul Klee"',
    ],
)
def train_stylizer(
    pictures_folder: Annotated[
        Path,
        typer.Option(
            "--pictures",
            metavar="FOLDER",
            help="Pictures to learn to paint, also in subfolders: some thousand photos or paintings of all kinds.",
        ),
    ],
    target: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write the network to.")],
    painters: Annotated[
        list[str] | None,
        typer.Option(
            "--painter",
            metavar="NAME",
            help=f"A style, by the painter's name.{REPEAT_HINT}",
            show_default="ten that cannot be confused",
        ),
    ] = None,
    judge: Annotated[
        str, declare_network_option("Network that knows the painters and has their style statistics.", "--judge")
    ] = DEFAULTS.judge,
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=1, help="Steps of the training.")] = DEFAULTS.steps,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Pictures per step.")] = DEFAULTS.batch,
    rate: Annotated[float, typer.Option("--rate", metavar="RATE", help="Highest learning rate.")] = DEFAULTS.rate,
    seed: Annotated[int, declare_seed_option("gives the same training")] = DEFAULTS.seed,
    license_text: Annotated[
        str, typer.Option("--license", metavar="TEXT", help="License of the network, for its model card.")
    ] = "",
    sheet: Annotated[
        Path | None,
        declare_sheet_option("of painted pictures"),
    ] = None,
    data: DataOption = None,
) -> None:
    """Train the mirror's network to paint like some painters. Running it again resumes where it was interrupted."""
    from artdream.cli.network_output import NetworkOutput
    from worker.quiet_import import quiet_import

    with quiet_import():
        from worker.training.stylizer.export import export_stylizer
        from worker.training.stylizer.network import paint_in_all_styles
        from worker.training.stylizer.pictures import list_pictures
        from worker.training.stylizer.trainer import StylizerProgress
        from worker.training.stylizer.trainer import train_stylizer as train

    settings = load_settings(data=data)
    config = StylizerConfig(
        painters=tuple(painters or DEFAULTS.painters), judge=judge, steps=steps, batch=batch, rate=rate, seed=seed
    )
    pictures = list_pictures(pictures_folder)
    networks = open_networks(settings)
    judge_network, statistics = networks.load(judge), networks.style_statistics(judge)
    if statistics is None:
        raise ArtDreamError(f"The network {judge} has no style statistics: make them with `artdream styles`.")
    output = NetworkOutput(target.absolute().name, target.expanduser())
    output.require_writable()
    state_folder = settings.data / "training" / f"stylizer-{output.name}"
    console.print(
        f"{len(pictures)} pictures, {len(config.painters)} styles. The state of training is saved in {state_folder}.",
        soft_wrap=True,
        markup=False,
    )
    with show_progress_bar("painting", console) as report_fraction:

        def report(progress: StylizerProgress) -> None:
            report_fraction(progress.step / steps)
            if progress.mean_loss is not None:
                console.print(f"step {progress.step} of {steps}: loss {progress.mean_loss:.2f}", highlight=False)

        trained = train(judge_network, statistics, pictures, config, state_folder, report)
    invocation = shlex.join(["artdream", *sys.argv[1:]])
    files = export_stylizer(trained, config, command=invocation, license_text=license_text)
    output.write(files)
    console.print(f"{output}: {sum(map(len, files.values())) / 1e6:.1f} MB.", soft_wrap=True, markup=False)
    if sheet is not None:
        _save_sheet(partial(paint_in_all_styles, trained), pictures, config.painters, sheet)
        console.print(str(sheet), soft_wrap=True, markup=False)


def _save_sheet(
    paint: "Callable[[NDArray[np.uint8]], NDArray[np.uint8]]",
    pictures: list[Path],
    painters: tuple[str, ...],
    target: Path,
) -> None:
    """Save a contact sheet: a row for each picture, as it is and in each style. paint: paints a picture in all."""
    import numpy as np
    from PIL import ImageOps

    from artdream.cli.contact_sheet import CELL_WIDTH, Cell, draw_contact_sheet, write_contact_sheet
    from worker.training.input_pipeline import open_picture

    cells = []
    for path in dict.fromkeys(pictures[index * len(pictures) // SHEET_PICTURES] for index in range(SHEET_PICTURES)):
        pixels = np.asarray(ImageOps.fit(open_picture(path), (CELL_WIDTH, CELL_WIDTH)))
        cells.append(Cell("", "", pixels))
        cells += [Cell(painter, "", painting) for painter, painting in zip(painters, paint(pixels), strict=True)]
    write_contact_sheet(draw_contact_sheet(cells, len(painters) + 1), target)
