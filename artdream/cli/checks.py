"""Results of checks: what `artdream doctor` and `artdream deploy check` print, a line or a JSON object for each."""

from collections.abc import Iterable

import typer
from pydantic import BaseModel, ConfigDict, Field

from artdream.cli.options import console, print_json


class CheckResult(BaseModel):
    """The result of one check."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="Name of the check.")
    passed: bool = Field(description="Whether it passed.")
    finding: str = Field(description="What it found; if it failed, also what to do.")


def report_results(results: Iterable[CheckResult], *, as_json: bool) -> None:
    """Print a line for each result as soon as it is there, or all as JSON. Exits with 1 if a check failed."""
    reported = []
    for result in results:
        reported.append(result)
        if not as_json:
            mark = "✓" if result.passed else "✗"
            console.print(f"{mark} {result.name:10} {result.finding}", soft_wrap=True, markup=False)
    if as_json:
        print_json(reported)
    if not all(result.passed for result in reported):
        raise typer.Exit(1)
