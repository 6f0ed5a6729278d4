"""What chaos did, and what came of it."""

from dataclasses import dataclass, field
from statistics import median

from benchmarks.report import publish


@dataclass
class Hurt:
    """A fault, and how long nothing was dreamt after it."""

    name: str
    seconds: float


@dataclass
class Report:
    """What was counted."""

    jobs: int = 0
    dreamt: int = 0
    failed: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    hurts: list[Hurt] = field(default_factory=list)


def told(report: Report, seconds: float) -> None:
    """Print the report, and write it beside the benchmarks'."""
    rows = []
    for name in dict.fromkeys(hurt.name for hurt in report.hurts):
        times = [hurt.seconds for hurt in report.hurts if hurt.name == name]
        rows.append((name, str(len(times)), f"{median(times):.1f}", f"{max(times):.1f}"))
    sums = f"{report.jobs} jobs: {report.dreamt} dreamt, {report.failed} failed with a reason"
    rows.append((f"{sums}, lost {len(report.lost)}, twice {len(report.twice)}", str(len(report.hurts)), "", ""))
    facts = {
        "seconds": seconds,
        "jobs": report.jobs,
        "dreamt": report.dreamt,
        "failed": report.failed,
        "lost": report.lost,
        "twice": report.twice,
        "faults": [(hurt.name, hurt.seconds) for hurt in report.hurts],
    }
    publish("chaos", ("fault", "times", "dreaming again after, s, median", "worst"), rows, facts)
