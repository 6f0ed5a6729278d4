"""Comparison table: two versions of a recipe side by side, and in words how they differ, in the tab Numbers."""

import html
from collections.abc import Callable, Mapping
from typing import Literal

import streamlit as st

from display.console.charts import ACCENT_COLOR, SERIES_COLORS
from shared.monitoring.comparison_report import (
    COMPARED_SHARES,
    ArmNumbers,
    ComparisonNumbers,
    Share,
    find_difference,
)
from shared.recipe.canary import Arm

#: Width of the interval of a difference, in percentage points, from which on dreams are too few to tell anything.
_TOO_WIDE_POINTS = 20

_CLASS = "version-comparison"

_STYLE = f"""<style>
.{_CLASS} {{ width: 100%; border-collapse: collapse; font-size: 1.25rem; font-variant-numeric: tabular-nums }}
.{_CLASS} th, .{_CLASS} td {{ padding: 0.55rem 1.5rem 0.55rem 0; border: 0; border-bottom: 1px solid #2b2722;
  text-align: left; vertical-align: top; font-weight: 400 }}
.{_CLASS} thead th {{ color: #b5ada1; white-space: nowrap }}
.{_CLASS} th:last-child, .{_CLASS} td:last-child {{ width: 32%; padding-right: 0 }}
.{_CLASS} .value {{ font-size: 1.6rem; line-height: 1.2 }}
.{_CLASS} .interval {{ color: #b5ada1; white-space: nowrap }}
.{_CLASS} .bar {{ position: relative; height: 0.4rem; margin-top: 0.35rem; background: #1d1a17 }}
.{_CLASS} .bar span {{ position: absolute; top: 0; bottom: 0; min-width: 0.3rem }}
.{_CLASS} thead th span {{ display: inline-block; width: 0.9rem; height: 0.9rem; margin-right: 0.5rem }}
.{_CLASS} span.{Arm.CURRENT} {{ background: {SERIES_COLORS[1]} }}
.{_CLASS} span.{Arm.CANDIDATE} {{ background: {SERIES_COLORS[0]} }}
.{_CLASS} .differs {{ color: {ACCENT_COLOR} }}
</style>"""

_Verdict = Literal["none", "few", "same", "more", "less"]


def render_comparisons(
    comparisons: list[ComparisonNumbers], get_title: Callable[[str], str], texts: Mapping[str, str]
) -> None:
    """Draw a table for each comparison, and the sentence that sums it up. get_title: returns that of a recipe."""
    for comparison in comparisons:
        versions = {"current": comparison.current.version, "candidate": comparison.candidate.version}
        title = texts["compared_title"].format(recipe=get_title(comparison.recipe), **versions)
        st.markdown(f"#### {title}")
        summary, caution = render_summary(comparison, texts)
        st.markdown(f"**{summary}** {caution}")
        st.html(_STYLE + _render_table(comparison, texts))
        st.caption(texts["compared_more"])


def render_summary(comparison: ComparisonNumbers, texts: Mapping[str, str]) -> tuple[str, str]:
    """Return what differs and whether there are enough dreams to tell more; and what chance does, if something differs.

    Among so many rows one seems to differ more often than in one case of twenty.
    """
    version = comparison.candidate.version
    if not comparison.candidate.dreams or not comparison.current.dreams:
        return texts["compared_summary_none"], ""
    verdicts = {name: _judge(*_get_shares(comparison, name))[0] for name in COMPARED_SHARES}
    verdicts["time"] = _judge_time(comparison.current, comparison.candidate)
    differences = [
        texts[f"compared_{name}_{verdict}"] for name, verdict in verdicts.items() if verdict in ("more", "less")
    ]
    sentences = []
    if differences:
        sentences.append(texts["compared_summary"].format(version=version, differences=", ".join(differences)))
    if "few" in verdicts.values():
        sentences.append(texts["compared_summary_rest" if differences else "compared_summary_few"])
    elif not differences:
        sentences.append(texts["compared_summary_same"])
    return " ".join(sentences), texts["compared_summary_chance"] if differences else ""


def _get_shares(comparison: ComparisonNumbers, name: str) -> tuple[Share, Share]:
    current, candidate = (getattr(arm, name) for arm in (comparison.current, comparison.candidate))
    return current, candidate


def _judge(current: Share, candidate: Share) -> tuple[_Verdict, str]:
    """Return whether the candidate's share is larger or smaller, and the interval of the difference as text."""
    interval = find_difference(current, candidate)
    if interval is None:
        return "none", ""
    low, high = (100 * bound for bound in interval)
    text = f"{low:+.0f} … {high:+.0f}".replace("-", "−")
    if low > 0 or high < 0:
        return ("more" if low > 0 else "less"), text
    return ("few" if high - low > _TOO_WIDE_POINTS else "same"), text


def _judge_time(current: ArmNumbers, candidate: ArmNumbers) -> _Verdict:
    """Return whether the candidate's dreams take longer or less long: the intervals of the medians are apart."""
    bounds = (
        current.dream_median_low,
        current.dream_median_high,
        candidate.dream_median_low,
        candidate.dream_median_high,
    )
    if any(bound is None for bound in bounds):
        return "none"
    current_low, current_high, low, high = (bound or 0.0 for bound in bounds)
    if low > current_high or high < current_low:
        return "more" if low > current_high else "less"
    return "same"


def _render_table(comparison: ComparisonNumbers, texts: Mapping[str, str]) -> str:
    current, candidate = comparison.current, comparison.candidate
    rows = [
        _render_row(texts["figure_photos"], [_render_value(str(arm.photos)) for arm in (current, candidate)]),
        _render_row(texts["figure_dreams"], [_render_value(str(arm.dreams)) for arm in (current, candidate)]),
        _render_time_row(current, candidate, texts),
        *(_render_share_row(name, *_get_shares(comparison, name), texts) for name in COMPARED_SHARES),
    ]
    if candidate.replaced:
        rows.insert(2, _render_row(texts["compared_replaced"], ["", _render_value(str(candidate.replaced))]))
    heads = "".join(
        f'<th scope="col"><span class="{arm}"></span>{html.escape(texts[f"compared_{arm}"].format(version=version))}'
        "</th>"
        for arm, version in ((Arm.CURRENT, current.version), (Arm.CANDIDATE, candidate.version))
    )
    head = f'<td></td>{heads}<th scope="col">{html.escape(texts["compared_difference"])}</th>'
    return f'<table class="{_CLASS}"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _render_time_row(current: ArmNumbers, candidate: ArmNumbers, texts: Mapping[str, str]) -> str:
    cells, intervals = [], []
    for arm in (current, candidate):
        low, median, high = arm.dream_median_low, arm.dream_median_seconds, arm.dream_median_high
        if low is None or median is None or high is None:
            cells.append(_render_value("–"))
            continue
        interval = texts["compared_high"].format(seconds=f"{arm.dream_95_percent_seconds:.1f}")
        cells.append(_render_value(f"{median:.1f} s", f"{low:.1f}–{high:.1f} s · {interval}"))
        intervals.append((low, high))
    verdict = _render_verdict("time", _judge_time(current, candidate), "", intervals, texts)
    return _render_row(texts["compared_time"], cells, verdict)


def _render_share_row(name: str, current: Share, candidate: Share, texts: Mapping[str, str]) -> str:
    cells, intervals = [], []
    for share in (current, candidate):
        if share.share is None:
            cells.append(_render_value("–"))
            continue
        counted = texts["compared_of"].format(number=share.number, total=share.total)
        interval = f"{100 * share.low:.0f}–{100 * share.high:.0f} % · {counted}"
        cells.append(_render_value(f"{100 * share.share:.0f} %", interval))
        intervals.append((share.low, share.high))
    verdict, points = _judge(current, candidate)
    return _render_row(texts[f"compared_{name}"], cells, _render_verdict(name, verdict, points, intervals, texts))


def _render_verdict(
    name: str, verdict: _Verdict, points: str, intervals: list[tuple[float, float]], texts: Mapping[str, str]
) -> str:
    """Return whether the versions differ in something, and their intervals as bars. points: the difference as text."""
    if verdict == "none":
        return ""
    differs = verdict in ("more", "less")
    text = html.escape(texts[f"compared_{name}_{verdict}" if differs else f"compared_{verdict}"])
    interval = html.escape(texts["compared_points"].format(points=points)) if points else ""
    css_class = ' class="differs"' if differs else ""
    return f'<div{css_class}>{text} <span class="interval">{interval}</span></div>{_render_bars(intervals)}'


def _render_row(label: str, cells: list[str], verdict: str = "") -> str:
    columns = "".join(f"<td>{cell}</td>" for cell in (*cells, verdict))
    return f'<tr><th scope="row">{html.escape(label)}</th>{columns}</tr>'


def _render_value(value: str, interval: str = "") -> str:
    more = f'<div class="interval">{html.escape(interval)}</div>' if interval else ""
    return f'<div class="value">{html.escape(value)}</div>{more}'


def _render_bars(intervals: list[tuple[float, float]]) -> str:
    """Return a bar for each interval, from 0 to the highest bound: what differs lies apart."""
    most = max(high for _, high in intervals)
    bars = "".join(
        f'<div class="bar"><span class="{arm}" style="left:{low / most:.1%};width:{(high - low) / most:.1%}">'
        "</span></div>"
        for arm, (low, high) in zip(Arm, intervals, strict=True)
    )
    return f'<div aria-hidden="true">{bars}</div>'
