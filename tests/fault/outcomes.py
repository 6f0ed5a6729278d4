"""The outcomes of an installation's jobs, and whether each job ended as it must."""

from collections import Counter
from dataclasses import dataclass, field

from shared.jobs.job import State


@dataclass
class Outcomes:
    """Counts of jobs by outcome, and everything that must not be."""

    jobs: int = 0
    #: How many jobs ended in which state.
    ends: Counter[State] = field(default_factory=Counter)
    #: How many jobs failed for which reason.
    reasons: Counter[str] = field(default_factory=Counter)
    #: Jobs that have not ended, or whose dream, sidecar, photo or tombstone is missing.
    lost: list[str] = field(default_factory=list)
    #: Jobs that were announced as ended more than once.
    ended_twice: list[str] = field(default_factory=list)
    #: Jobs that a worker still claims, and messages that none has acknowledged.
    running: list[str] = field(default_factory=list)
    #: Objects in the store of dreams that failed, were cancelled or deleted, or are unknown.
    leftovers: list[str] = field(default_factory=list)
    #: Components that ended although nobody ended them.
    unexpected_exits: list[str] = field(default_factory=list)

    @property
    def are_clean(self) -> bool:
        """Whether every job ended exactly once, and nothing is left of those without a dream."""
        return not (self.lost or self.ended_twice or self.running or self.leftovers or self.unexpected_exits)

    @property
    def summary(self) -> str:
        """A sentence with all counts."""
        dreamt, failed, cancelled, deleted = (
            self.ends[state] for state in (State.COMPLETED, State.FAILED, State.CANCELLED, State.DELETED)
        )
        return (
            f"{self.jobs} jobs: {dreamt} dreamt, {failed} failed with a reason, {cancelled} cancelled, "
            f"{deleted} deleted; lost {len(self.lost)}, twice {len(self.ended_twice)}, running forever "
            f"{len(self.running)}, objects left half {len(self.leftovers)}, ended by themselves "
            f"{len(self.unexpected_exits)}"
        )

    def as_facts(self) -> dict[str, object]:
        """Return everything as JSON."""
        return {
            "jobs": self.jobs,
            "ends": dict(self.ends),
            "reasons": dict(self.reasons),
            "lost": self.lost,
            "twice": self.ended_twice,
            "running": self.running,
            "leftovers": self.leftovers,
            "unexpected_exits": self.unexpected_exits,
        }
