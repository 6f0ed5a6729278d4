"""`artdream dataset`: build a training data set from a collection of paintings."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from artdream.cli.options import console
from artdream.cli.progress import show_progress_bar

#: Refused files that are printed individually, so that the summary stays visible.
MAX_LISTED_REFUSALS = 20

#: Artists that are printed; the written table contains all.
MAX_LISTED_ARTISTS = 60

dataset = typer.Typer(help="Paintings to learn from: select, fetch, organise, report.", no_args_is_help=True)

FolderArgument = Annotated[Path, typer.Argument(help="What `artdream dataset organise` made.", metavar="DIR")]


StyleOption = Annotated[list[str] | None, typer.Option("--style", help="Only works of this style; may be repeated.")]
GenreOption = Annotated[list[str] | None, typer.Option("--genre", help="Only works of this genre; may be repeated.")]
SinceOption = Annotated[int | None, typer.Option("--since", help="Only works from this year on.")]
UntilOption = Annotated[int | None, typer.Option("--until", help="Only works up to this year.")]


@dataset.command()
def select(
    table: Annotated[Path, typer.Argument(help="Painter by Numbers' all_data_info.csv.", metavar="TABLE")],
    target: Annotated[Path, typer.Option("--breakdown", help="The table of artists, to be edited and merged again.")],
    minimum: Annotated[int, typer.Option("--min-works", min=1, help="New artists with fewer are not kept.")] = 200,
    style: StyleOption = None,
    genre: GenreOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """List artists by number of works, in a table whose columns keep and note are yours."""
    from worker.training.dataset import artist_selection
    from worker.training.dataset.painter_by_numbers import WorkFilter, count_works

    work_counts = count_works(table, WorkFilter(tuple(style or ()), tuple(genre or ()), since, until))
    previous_rows = artist_selection.read_selection(target) if target.exists() else []
    rows = artist_selection.merge_selection(previous_rows, work_counts, minimum)
    artist_selection.write_selection(target, rows)
    listing = Table("Artist", "Works", "Keep", "Note", box=None, header_style="dim")
    listing.columns[1].justify = "right"
    for row in rows[:MAX_LISTED_ARTISTS]:
        listing.add_row(row.artist, str(row.works), "yes" if row.keep else "no", row.note)
    console.print(listing)
    if len(rows) > MAX_LISTED_ARTISTS:
        console.print(f"… and {len(rows) - MAX_LISTED_ARTISTS} more.")
    kept_rows = [row for row in rows if row.keep]
    console.print(
        f"{target}: {len(rows)} artists, of whom {len(kept_rows)} with {sum(row.works for row in kept_rows)} works are "
        "kept. Say yes or no in its column “keep”, and run this again whenever you like.",
        soft_wrap=True,
        markup=False,
    )


@dataset.command()
def fetch(
    name: Annotated[str, typer.Argument(help="painter-by-numbers, or best-artworks-of-all-time.", metavar="NAME")],
    target: Annotated[Path, typer.Argument(help="Folder that it is fetched into.", metavar="DST")],
) -> None:
    """Fetch paintings from Kaggle. Cut off and called again, it goes on."""
    from worker.training.dataset.download import download_dataset

    path = download_dataset(
        name, target, on_retry=lambda reason: console.print(f"It broke off ({reason}), and goes on.", markup=False)
    )
    console.print(str(path), soft_wrap=True, markup=False)


@dataset.command()
def organise(
    source: Annotated[Path, typer.Argument(help="Paintings as they came.", metavar="SRC")],
    target: Annotated[Path, typer.Argument(help="Where the data set goes.", metavar="DST")],
    table: Annotated[
        Path | None, typer.Option("--table", help="Painter by Numbers' all_data_info.csv, whose files SRC holds.")
    ] = None,
    breakdown: Annotated[
        Path | None, typer.Option("--breakdown", help="What `dataset select` made: only artists kept there.")
    ] = None,
    style: StyleOption = None,
    genre: GenreOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    names: Annotated[
        Path | None, typer.Option("--names", help="A table with columns folder and name: how artists are called.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed makes the same split.")] = 0,
    side: Annotated[
        int | None, typer.Option("--side", min=32, help="Pixels: short sides are made no longer [384].")
    ] = None,
) -> None:
    """Convert paintings, and split them into train, val and test. Killed and called again, it goes on."""
    from worker.training.dataset import artist_selection
    from worker.training.dataset.build import MAX_SHORT_SIDE, build_dataset
    from worker.training.dataset.painter_by_numbers import WorkFilter
    from worker.training.dataset.sources import find_pictures, read_artist_names

    kept_artists = artist_selection.read_kept_artists(breakdown) if breakdown else None
    work_filter = WorkFilter(tuple(style or ()), tuple(genre or ()), since, until)
    pictures = find_pictures(source, table, work_filter, kept_artists, read_artist_names(names) if names else None)
    with show_progress_bar("converting", console) as report_fraction:
        result = build_dataset(pictures, target, seed=seed, side=side or MAX_SHORT_SIDE, on_progress=report_fraction)
    for rejected in result.rejected[:MAX_LISTED_REFUSALS]:
        console.print(f"{rejected.path} {rejected.reason}.", soft_wrap=True, markup=False)
    if len(result.rejected) > MAX_LISTED_REFUSALS:
        console.print(f"… and {len(result.rejected) - MAX_LISTED_REFUSALS} more.")
    entries = result.manifest.entries
    duplicates = len(pictures) - len(entries) - len(result.rejected)
    near_duplicates = len(entries) - len({entry.group for entry in entries})
    console.print(
        f"{target}: {len(entries)} paintings by {len({entry.artist for entry in entries})} artists, data set "
        f"{result.manifest.digest}. {len(result.rejected)} files were refused, {duplicates} "
        f"were there twice, {near_duplicates} are nearly the same as another and stay on its side.",
        soft_wrap=True,
        markup=False,
    )


@dataset.command()
def report(
    folder: FolderArgument,
    target: Annotated[Path | None, typer.Option("--sheet", help="Also a contact sheet, as JPEG or PNG.")] = None,
) -> None:
    """Count the pictures of each artist and part, and show some of each."""
    import numpy as np

    from artdream.cli.contact_sheet import save_contact_sheet
    from worker.training.dataset import PARTS, Dataset

    opened_dataset = Dataset.open(folder)
    table = Table("Artist", *PARTS, "all", box=None, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
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
