"""`artdream numbers`: what happened by hour, from the usage counts."""

from typing import NamedTuple

import typer
from pydantic import BaseModel, Field
from rich.console import Console

from artdream.cli.tables import PlainTable
from shared.broker.client import connect
from shared.monitoring.comparison_report import ComparisonNumbers, Share, list_comparisons
from shared.monitoring.usage_counts import HOUR_SECONDS, read_usage_counts
from shared.monitoring.usage_report import (
    UsageRow,
    begin_day,
    find_day,
    format_csv,
    make_rows,
    merge_counts,
    sum_rows,
    trim_hours,
)
from shared.settings import Settings
from shared.storage.store import Store

#: How to read the shares of two versions, below their table.
COMPARISON_CAUTION = (
    "In brackets: the range of each share, with 95 % confidence. Five numbers are compared: on up to one evening in "
    "five, one of them differs by chance alone, even between equal versions. Trust what shows again on another evening."
)


class Numbers(NamedTuple):
    """A row for each hour from the first to the last with events, none if there were none; and one for all together.

    comparisons: the versions of recipes that were compared.
    """

    rows: list[UsageRow]
    total: UsageRow
    comparisons: list[ComparisonNumbers]


def read_numbers(settings: Settings, days: int) -> Numbers:
    """Read the last `days` days of the exhibition, today included. Raises ArtDreamError and RedisError."""
    with connect(settings.broker) as client:
        seconds, _ = client.time()
        last_hour = seconds // HOUR_SECONDS
        first_hour = begin_day(find_day(last_hour - 24 * (days - 1), None), None)
        counts = read_usage_counts(client, Store(settings.store), first_hour, last_hour)
    first_hour, last_hour = trim_hours(counts, first_hour, last_hour)
    return Numbers(
        make_rows(counts, first_hour, last_hour) if counts else [],
        sum_rows(counts, first_hour),
        list_comparisons(merge_counts(counts.values())),
    )


class NumbersDocument(BaseModel):
    """The numbers as JSON has them."""

    hours: list[dict[str, object]] = Field(
        description="An object for each hour from the first to the last with events. Keys: the columns of the CSV."
    )
    total: dict[str, object] = Field(description="The same for all hours together.")
    comparisons: list[ComparisonNumbers] = Field(
        description="Versions of recipes that were compared: `recipe`, and for `current` and `candidate` `version`, "
        "`photos`, `dreams`, `replaced`, seconds of dreaming, and the shares `failed`, `opened`, `saved`, `printed`, "
        "each with `number`, `total`, and the bounds `low` and `high` of its interval of 95 %."
    )


def make_document(numbers: Numbers) -> NumbersDocument:
    """Return the numbers as JSON has them."""
    return NumbersDocument(
        hours=[row._asdict() for row in numbers.rows],
        total=numbers.total._asdict(),
        comparisons=numbers.comparisons,
    )


def print_csv(numbers: Numbers) -> None:
    """Print a row for each hour as CSV on stdout."""
    typer.echo(format_csv(numbers.rows), nl=False)


def print_numbers(numbers: Numbers, console: Console) -> None:
    """Print a table with a row for each hour and their sums."""
    if not numbers.rows:
        console.print("Nothing happened in that time.")
        return
    columns = ("Hour", "Photos", "Dreams", "Failed", "Rejected", "Wait", "95 %", "Opened", "Saved", "Printed")
    table = PlainTable(*columns, gap=1)
    for row in numbers.rows:
        table.add_row(row.hour_local[5:16].replace("T", " "), *_format_numbers(row))
    table.add_section()
    table.add_row("all", *_format_numbers(numbers.total))
    console.print(table)
    recipes = ", ".join(f"{number} {name}" for name, number in numbers.total.photos_by_recipe.items())
    console.print(f"Recipes: {recipes or 'none'}", soft_wrap=True)
    if numbers.comparisons:
        console.print()
        _print_comparisons(numbers.comparisons, console)


def _print_comparisons(comparisons: list[ComparisonNumbers], console: Console) -> None:
    """Print a row for each version, with the shares of its photos or dreams and their intervals of 95 %."""
    columns = ("Version", "Photos", "Dreams", "Failed", "Median", "95 %", "Opened", "Saved", "Printed")
    table = PlainTable(*columns, gap=1)
    for comparison in comparisons:
        for arm in (comparison.current, comparison.candidate):
            seconds = (arm.dream_median_seconds, arm.dream_95_percent_seconds)
            table.add_row(
                f"{comparison.recipe} {arm.version}",
                str(arm.photos),
                str(arm.dreams),
                _format_share(arm.failed),
                *("" if each is None else f"{each:.1f} s" for each in seconds),
                *map(_format_share, (arm.opened, arm.saved, arm.printed)),
            )
        table.add_section()
    console.print(table)
    console.print(COMPARISON_CAUTION, soft_wrap=True)


def _format_share(share: Share) -> str:
    return "" if share.share is None else f"{share.share:.0%} ({100 * share.low:.0f}–{100 * share.high:.0f})"


def _format_numbers(row: UsageRow) -> list[str]:
    waits = (row.wait_median_seconds, row.wait_95_percent_seconds)
    return [
        *map(str, (row.photos, row.dreams, row.failed, row.refused)),
        *("" if seconds is None else f"{seconds:.1f} s" for seconds in waits),
        *map(str, (row.links_opened, row.dreams_saved, row.prints)),
    ]
