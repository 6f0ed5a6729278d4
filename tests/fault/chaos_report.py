"""The report of a chaos run: injected faults, and outcomes of the jobs."""

from dataclasses import dataclass
from statistics import median

from benchmarks.report import publish
from tests.fault.outcomes import Outcomes


@dataclass
class InjectedFault:
    """A fault, and the seconds from its end until the next dream was complete."""

    name: str
    recovery_seconds: float


def publish_report(faults: list[InjectedFault], outcomes: Outcomes, seconds: float) -> None:
    """Print the report and save it with the benchmarks' reports; `seconds` is the length of the run."""
    rows = []
    for name in dict.fromkeys(fault.name for fault in faults):
        times = [fault.recovery_seconds for fault in faults if fault.name == name]
        rows.append((name, str(len(times)), f"{median(times):.1f}", f"{max(times):.1f}"))
    rows += [(f"failed: {reason}", str(count), "", "") for reason, count in outcomes.reasons.most_common()]
    rows.append((outcomes.summary, str(len(faults)), "", ""))
    facts = {
        "seconds": seconds,
        **outcomes.as_facts(),
        "faults": [(fault.name, fault.recovery_seconds) for fault in faults],
    }
    publish("chaos", ("fault", "times", "dreaming again after, s, median", "worst"), rows, facts)
