"""`artdream dataset`: build a training data set from a collection of paintings."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column

from artdream.cli.command import CommandGroup, command
from artdream.cli.options import DATASET_HELP, REPEAT_HINT, console, declare_seed_option, declare_sheet_option
from artdream.cli.progress import show_progress_bar
from artdream.cli.tables import PlainTable

#: Rejected files that are printed individually, so that the summary stays visible.
MAX_LISTED_REJECTIONS = 20

#: Artists that are printed; the written table contains all.
MAX_LISTED_ARTISTS = 60


class DatasetGroup(CommandGroup):
    """`artdream dataset`."""

    renamed_commands = {"organise": "organize"}  # noqa: RUF012


dataset = typer.Typer(cls=DatasetGroup, help="Build a data set of paintings to train on.", no_args_is_help=True)

StyleOption = Annotated[
    list[str] | None,
    typer.Option("--style", metavar="NAME", help=f"Only works of this style.{REPEAT_HINT}"),
]
GenreOption = Annotated[
    list[str] | None,
    typer.Option("--genre", metavar="NAME", help=f"Only works of this genre.{REPEAT_HINT}"),
]
SinceOption = Annotated[int | None, typer.Option("--since", metavar="YEAR", help="Only works from this year on.")]
UntilOption = Annotated[int | None, typer.Option("--until", metavar="YEAR", help="Only works up to this year.")]


@command(
    dataset,
    examples=["artdream dataset select all_data_info.csv --breakdown artists.csv --min-works 200"],
)
def select(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="all_data_info.csv of Painter by Numbers.")],
    target: Annotated[
        Path, typer.Option("--breakdown", metavar="FILE", help="The CSV table of artists to write, or to update.")
    ],
    minimum: Annotated[
        int, typer.Option("--min-works", metavar="N", min=1, help="Works that a new artist needs to be kept.")
    ] = 200,
    style: StyleOption = None,
    genre: GenreOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Write a table of artists by number of works, in which you decide whom to keep."""
    from worker.training.dataset import artist_selection
    from worker.training.dataset.painter_by_numbers import WorkFilter, count_works

    work_counts = count_works(table, WorkFilter(tuple(style or ()), tuple(genre or ()), since, until))
    previous_rows = artist_selection.read_selection(target) if target.exists() else []
    rows = artist_selection.merge_selection(previous_rows, work_counts, minimum)
    artist_selection.write_selection(target, rows)
    listing = PlainTable("Artist", Column("Works", justify="right"), "Keep", "Note")
    for row in rows[:MAX_LISTED_ARTISTS]:
        listing.add_row(row.artist, str(row.works), "yes" if row.keep else "no", row.note)
    console.print(listing)
    if len(rows) > MAX_LISTED_ARTISTS:
        console.print(f"… and {len(rows) - MAX_LISTED_ARTISTS} more.")
    kept_rows = [row for row in rows if row.keep]
    console.print(
        f"{target}: {len(rows)} artists, of whom {len(kept_rows)} with {sum(row.works for row in kept_rows)} works are "
        "kept. To change that, edit its columns “keep” (yes or no) and “note”; another run preserves them.",
        soft_wrap=True,
        markup=False,
    )


@command(dataset, examples=["artdream dataset fetch best-artworks-of-all-time downloads"])
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="painter-by-numbers or best-artworks-of-all-time.")],
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to download to.")],
) -> None:
    """Download a collection of paintings from Kaggle. Running it again resumes an interrupted download."""
    from worker.training.dataset.download import download_dataset

    path = download_dataset(
        name,
        target,
        on_retry=lambda reason: console.print(f"The download was interrupted ({reason}) and resumes.", markup=False),
    )
    console.print(str(path), soft_wrap=True, markup=False)


@command(
    dataset,
    examples=[
        "artdream dataset organize paintings data",
        "artdream dataset organize downloads data --table all_data_info.csv --breakdown artists.csv",
    ],
)
def organize(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder of paintings.")],
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write the data set to.")],
    table: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="all_data_info.csv of Painter by Numbers, if SOURCE is that."),
    ] = None,
    breakdown: Annotated[
        Path | None,
        typer.Option("--breakdown", metavar="FILE", help="The table of `dataset select`: only artists kept there."),
    ] = None,
    style: StyleOption = None,
    genre: GenreOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    names: Annotated[
        Path | None,
        typer.Option("--names", metavar="FILE", help="CSV table with the columns folder and name: the artists' names."),
    ] = None,
    seed: Annotated[int, declare_seed_option("gives the same split")] = 0,
    side: Annotated[
        int | None,
        typer.Option(
            "--side", metavar="PIXELS", min=32, help="Longest allowed short side of a picture.", show_default="384"
        ),
    ] = None,
) -> None:
    """Convert paintings, and split them into train, val and test. Running it again resumes."""
    from worker.training.dataset import artist_selection
    from worker.training.dataset.build import MAX_SHORT_SIDE, build_dataset
    from worker.training.dataset.painter_by_numbers import WorkFilter
    from worker.training.dataset.sources import find_pictures, read_artist_names

    kept_artists = artist_selection.read_kept_artists(breakdown) if breakdown else None
    work_filter = WorkFilter(tuple(style or ()), tuple(genre or ()), since, until)
    pictures = find_pictures(source, table, work_filter, kept_artists, read_artist_names(names) if names else None)
    with show_progress_bar("converting", console) as report_fraction:
        result = build_dataset(pictures, target, seed=seed, side=side or MAX_SHORT_SIDE, on_progress=report_fraction)
    for rejected in result.rejected[:MAX_LISTED_REJECTIONS]:
        console.print(f"{rejected.path} {rejected.reason}.", soft_wrap=True, markup=False)
    if len(result.rejected) > MAX_LISTED_REJECTIONS:
        console.print(f"… and {len(result.rejected) - MAX_LISTED_REJECTIONS} more.")
    entries = result.manifest.entries
    duplicates = len(pictures) - len(entries) - len(result.rejected)
    near_duplicates = len(entries) - len({entry.group for entry in entries})
    console.print(
        f"{target}: {len(entries)} paintings by {len({entry.artist for entry in entries})} artists, data set "
        f"{result.manifest.digest}. {len(result.rejected)} files were rejected, {duplicates} are duplicates; "
        f"{near_duplicates} are near-duplicates, which are in the same part as what they resemble.",
        soft_wrap=True,
        markup=False,
    )


@command(dataset, examples=["artdream dataset report data --sheet sheet.jpg"])
def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help=DATASET_HELP)],
    target: Annotated[
        Path | None,
        declare_sheet_option("with a picture of each"),
    ] = None,
) -> None:
    """Count the pictures of each artist and part."""
    import numpy as np

    from artdream.cli.contact_sheet import save_contact_sheet
    from worker.training.dataset import PARTS, Dataset

    opened_dataset = Dataset.open(folder)
    table = PlainTable("Artist", numbers=(*PARTS, "all"))
    counts = {
        part: np.bincount(
            [painting.artist for painting in opened_dataset.get_part(part)], minlength=len(opened_dataset.artists)
        )
        for part in PARTS
    }
    for index, artist in enumerate(opened_dataset.artists):
        artist_counts = [int(counts[part][index]) for part in PARTS]
        table.add_row(artist, *map(str, artist_counts), str(sum(artist_counts)))
    table.add_row("", *(str(counts[part].sum()) for part in PARTS), str(len(opened_dataset.paintings)), style="bold")
    console.print(table)
    if target is not None:
        cells = []
        for index, artist in enumerate(opened_dataset.artists):
            paintings = [painting for painting in opened_dataset.paintings if painting.artist == index]
            cells.append((artist, str(len(paintings)), paintings[len(paintings) // 2].path))
        save_contact_sheet(cells, target)
        console.print(str(target), soft_wrap=True, markup=False)
