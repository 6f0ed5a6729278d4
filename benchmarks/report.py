"""Publish the results of benchmarks: as a table and as JSON."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ARTIFACTS_FOLDER = Path("artefacts")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of the values does not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, ceil(len(ranked) * share) - 1)]


def describe_hardware() -> str:
    """Return processor, cores, system and Python version of this machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def publish(name: str, columns: Sequence[str], rows: Sequence[Sequence[str]], facts: dict[str, Any]) -> None:
    """Print a table, and write it with its facts to `artefacts/bench-<name>.json`."""
    table = Table(*columns, title=f"{name} on {describe_hardware()}", title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    ARTIFACTS_FOLDER.mkdir(exist_ok=True)
    document = {
        "name": name,
        "hardware": describe_hardware(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    }
    (ARTIFACTS_FOLDER / f"bench-{name}.json").write_text(json.dumps(document, indent=1))
