"""The report of a chaos run: injected faults, and outcomes of the jobs."""

from dataclasses import dataclass, field
from statistics import median

from benchmarks.report import publish


@dataclass
class InjectedFault:
    """A fault, and the seconds from its end until the next job ended."""

    name: str
    recovery_seconds: float


@dataclass
class ChaosReport:
    """Counts of jobs by outcome, and the injected faults."""

    jobs: int = 0
    completed: int = 0
    failed: int = 0
    lost_jobs: list[str] = field(default_factory=list)
    completed_twice: list[str] = field(default_factory=list)
    faults: list[InjectedFault] = field(default_factory=list)


def publish_report(report: ChaosReport, seconds: float) -> None:
    """Print the report and save it with the benchmarks' reports; `seconds` is the length of the run."""
    rows = []
    for name in dict.fromkeys(fault.name for fault in report.faults):
        times = [fault.recovery_seconds for fault in report.faults if fault.name == name]
        rows.append((name, str(len(times)), f"{median(times):.1f}", f"{max(times):.1f}"))
    summary = f"{report.jobs} jobs: {report.completed} dreamt, {report.failed} failed with a reason"
    rows.append(
        (
            f"{summary}, lost {len(report.lost_jobs)}, twice {len(report.completed_twice)}",
            str(len(report.faults)),
            "",
            "",
        )
    )
    facts = {
        "seconds": seconds,
        "jobs": report.jobs,
        "dreamt": report.completed,
        "failed": report.failed,
        "lost": report.lost_jobs,
        "twice": report.completed_twice,
        "faults": [(fault.name, fault.recovery_seconds) for fault in report.faults],
    }
    publish("chaos", ("fault", "times", "dreaming again after, s, median", "worst"), rows, facts)
