"""`artdream numbers`: what happened by hour, from the usage counts."""

from typing import NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from shared.broker.client import connect
from shared.monitoring.usage_counts import HOUR_SECONDS, read_usage_counts
from shared.monitoring.usage_report import (
    UsageRow,
    begin_day,
    find_day,
    format_csv,
    make_rows,
    sum_rows,
    trim_hours,
)
from shared.settings import Settings
from shared.storage.store import Store


class Numbers(NamedTuple):
    """A row for each hour from the first to the last with events, none if there were none; and one for all together."""

    rows: list[UsageRow]
    total: UsageRow


def read_numbers(settings: Settings, days: int) -> Numbers:
    """Read the last `days` days of the exhibition, today included. Raises ArtDreamError and RedisError."""
    with connect(settings.broker) as client:
        seconds, _ = client.time()
        last_hour = seconds // HOUR_SECONDS
        first_hour = begin_day(find_day(last_hour - 24 * (days - 1), None), None)
        counts = read_usage_counts(client, Store(settings.store), first_hour, last_hour)
    first_hour, last_hour = trim_hours(counts, first_hour, last_hour)
    return Numbers(make_rows(counts, first_hour, last_hour) if counts else [], sum_rows(counts, first_hour))


def print_csv(numbers: Numbers) -> None:
    """Print a row for each hour as CSV on stdout."""
    typer.echo(format_csv(numbers.rows), nl=False)


def print_numbers(numbers: Numbers, console: Console) -> None:
    """Print a table with a row for each hour and their sums."""
    if not numbers.rows:
        console.print("Nothing happened in that time.")
        return
    columns = ("Hour", "Photos", "Dreams", "Failed", "Rejected", "Wait", "95 %", "Opened", "Saved", "Printed")
    table = Table(*columns, box=None, header_style="dim", padding=(0, 1, 0, 0))
    for row in numbers.rows:
        table.add_row(row.hour_local[5:16].replace("T", " "), *_format_numbers(row))
    table.add_section()
    table.add_row("all", *_format_numbers(numbers.total))
    console.print(table)
    recipes = ", ".join(f"{number} {name}" for name, number in numbers.total.photos_by_recipe.items())
    console.print(f"Recipes: {recipes or 'none'}", soft_wrap=True)


def _format_numbers(row: UsageRow) -> list[str]:
    waits = (row.wait_median_seconds, row.wait_95_percent_seconds)
    return [
        *map(str, (row.photos, row.dreams, row.failed, row.refused)),
        *("" if seconds is None else f"{seconds:.1f} s" for seconds in waits),
        *map(str, (row.links_opened, row.dreams_saved, row.prints)),
    ]
