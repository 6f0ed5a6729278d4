"""What chaos did, and what came of it."""

from dataclasses import dataclass, field
from statistics import median

from benchmarks.report import publish


@dataclass
class InjectedFault:
    """A fault, and how long nothing was dreamt after it."""

    name: str
    recovery_seconds: float


@dataclass
class ChaosReport:
    """What was counted."""

    jobs: int = 0
    completed: int = 0
    failed: int = 0
    lost_jobs: list[str] = field(default_factory=list)
    completed_twice: list[str] = field(default_factory=list)
    faults: list[InjectedFault] = field(default_factory=list)


def publish_report(report: ChaosReport, seconds: float) -> None:
    """Print the report, and write it beside the benchmarks'."""
    rows = []
    for name in dict.fromkeys(hurt.name for hurt in report.faults):
        times = [hurt.recovery_seconds for hurt in report.faults if hurt.name == name]
        rows.append((name, str(len(times)), f"{median(times):.1f}", f"{max(times):.1f}"))
    sums = f"{report.jobs} jobs: {report.completed} dreamt, {report.failed} failed with a reason"
    rows.append(
        (f"{sums}, lost {len(report.lost_jobs)}, twice {len(report.completed_twice)}", str(len(report.faults)), "", "")
    )
    facts = {
        "seconds": seconds,
        "jobs": report.jobs,
        "dreamt": report.completed,
        "failed": report.failed,
        "lost": report.lost_jobs,
        "twice": report.completed_twice,
        "faults": [(hurt.name, hurt.recovery_seconds) for hurt in report.faults],
    }
    publish("chaos", ("fault", "times", "dreaming again after, s, median", "worst"), rows, facts)
