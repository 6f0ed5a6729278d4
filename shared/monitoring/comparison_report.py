"""Comparison report: what the usage counts say of two versions of a recipe, and whether more than chance parts them.

Each share has a Wilson interval, in which the true share lies with 95 % confidence: E. B. Wilson, “Probable Inference,
the Law of Succession, and Statistical Inference”, JASA 22 (1927). The interval of the difference of two shares is made
of theirs: R. G. Newcombe, “Interval Estimation for the Difference between Independent Proportions”, Statistics in
Medicine 17 (1998), method 10.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from shared.monitoring.usage_counts import Counted
from shared.monitoring.usage_report import BUCKETS_PER_DOUBLING, estimate_percentile, iter_kind
from shared.recipe.canary import Arm

#: Standard deviations of a normal distribution that 95 % lie within.
Z_95_PERCENT = 1.959964


@dataclass(frozen=True)
class Share:
    """How many of some photos or dreams, and the interval in which the true share of them lies."""

    number: int
    total: int
    #: From 0 to 1; None if there are none.
    share: float | None
    low: float
    high: float


@dataclass(frozen=True)
class ArmNumbers:
    """What happened to the photos of one version, and to their dreams."""

    version: int
    photos: int
    dreams: int
    #: Of the photos that ended: jobs that failed, or whose candidate was replaced by the current version.
    failed: Share
    #: Of those that failed: jobs that have a dream, of the current version.
    replaced: int
    #: Seconds that a dream took, without waiting: the median, and the interval in which the true one lies with 95 %
    #: confidence: between two dreams whose ranks are binomial quantiles, in whole buckets; None if there is no dream.
    dream_median_seconds: float | None
    dream_median_low: float | None
    dream_median_high: float | None
    dream_95_percent_seconds: float | None
    #: Of the dreams: those whose link was opened, that were saved, and that were printed, however often each.
    opened: Share
    saved: Share
    printed: Share


@dataclass(frozen=True)
class ComparisonNumbers:
    """Two versions of a recipe, of which guests' photos got one or the other at the same time."""

    recipe: str
    current: ArmNumbers
    candidate: ArmNumbers


#: Shares in which versions can differ, by their names in `ArmNumbers`.
COMPARED_SHARES = ("failed", "opened", "saved", "printed")


def list_comparisons(counts: Mapping[str, int]) -> list[ComparisonNumbers]:
    """Return the comparisons in some usage counts, by recipe and version."""
    events: defaultdict[str, Counter[str]] = defaultdict(Counter)
    buckets: defaultdict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for labels, number in iter_kind(counts, Counted.COMPARED):
        events[labels[0]][labels[-1]] += number
    for labels, number in iter_kind(counts, Counted.DREAMT):
        arm, _, bucket = labels[-1].partition("-")
        if bucket.isdecimal():
            buckets[labels[0], arm][int(bucket)] += number
    comparisons = []
    for name, numbers in events.items():
        recipe, *versions = name.split("_")
        if len(versions) != len(Arm) or not all(map(str.isdecimal, versions)):
            continue  # of another version of ArtDream
        current, candidate = (
            _make_arm(int(version), arm, numbers, buckets[name, arm])
            for version, arm in zip(versions, (Arm.CURRENT, Arm.CANDIDATE), strict=True)
        )
        comparisons.append(ComparisonNumbers(recipe, current, candidate))
    return sorted(comparisons, key=lambda each: (each.recipe, each.candidate.version, each.current.version))


def _make_arm(version: int, arm: Arm, numbers: Mapping[str, int], buckets: Mapping[int, int]) -> ArmNumbers:
    def get(what: str) -> int:
        return numbers.get(f"{arm}-{what}", 0)

    dreams, replaced = get("completed"), get("replaced")
    failed = get("failed") + replaced

    def get_seconds(fraction: float, part: float = 0.0) -> float | None:
        """Return a percentile of the dreams' times. part: of its bucket, from the middle: −0.5 to 0.5."""
        milliseconds = estimate_percentile(buckets, fraction)
        return milliseconds and round(milliseconds * 2 ** (part / BUCKETS_PER_DOUBLING) / 1000, 3)

    spread = Z_95_PERCENT / (2 * math.sqrt(max(1, sum(buckets.values()))))
    return ArmNumbers(
        version=version,
        photos=get("photos"),
        dreams=dreams,
        failed=make_share(failed, dreams + failed),
        replaced=replaced,
        dream_median_seconds=get_seconds(0.5),
        dream_median_low=get_seconds(max(0.0, 0.5 - spread), -0.5),
        dream_median_high=get_seconds(min(1.0, 0.5 + spread), 0.5),
        dream_95_percent_seconds=get_seconds(0.95),
        opened=make_share(get(Counted.OPENED), dreams),
        saved=make_share(get(Counted.SAVED), dreams),
        printed=make_share(get(Counted.PRINTED), dreams),
    )


def make_share(number: int, total: int) -> Share:
    """Return a share with its Wilson interval of 95 %; without anything to share, from 0 to 1."""
    if total <= 0:
        return Share(number, 0, None, 0.0, 1.0)
    number_of = min(number, total)  # what a dream of an earlier range had happen to it is counted in this one
    share, z_squared = number_of / total, Z_95_PERCENT**2
    center = (share + z_squared / (2 * total)) / (1 + z_squared / total)
    spread = (
        Z_95_PERCENT * math.sqrt(share * (1 - share) / total + z_squared / (4 * total**2)) / (1 + z_squared / total)
    )
    return Share(number, total, share, max(0.0, center - spread), min(1.0, center + spread))


def find_difference(current: Share, candidate: Share) -> tuple[float, float] | None:
    """Return the interval of the candidate's share minus the current one's (Newcombe); None if either has no total.

    If it contains 0, the versions may well be the same in this.
    """
    if current.share is None or candidate.share is None:
        return None
    difference = candidate.share - current.share
    below = math.hypot(candidate.share - candidate.low, current.high - current.share)
    above = math.hypot(candidate.high - candidate.share, current.share - current.low)
    return max(-1.0, difference - below), min(1.0, difference + above)
