"""Numbers tab: what happened by hour, from the usage counts, as figures, charts, table and CSV."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from display.console.charts import (
    Spec,
    Values,
    make_grouped_bars,
    make_heat_map,
    make_range_lines,
    make_ranking,
    make_stacked_bars,
)
from display.console.comparison_table import render_comparisons
from display.console.context import ConsoleContext, console_fragment
from display.console.numbers_csv import CSV_PATH, parse_zone
from shared.broker.client import BROKER_OUTAGE
from shared.errors import ArtDreamError
from shared.jobs.job import Origin
from shared.monitoring.comparison_report import list_comparisons
from shared.monitoring.usage_counts import HOUR_SECONDS, HOURS_PER_DAY, UsageCounts, read_usage_counts
from shared.monitoring.usage_report import (
    DAY_BEGINS_AT_HOUR,
    UsageRow,
    begin_day,
    find_day,
    make_rows,
    merge_counts,
    sum_rows,
    trim_hours,
)
from shared.recipe.recipe import load_recipe
from shared.runtime_settings import read_runtime_settings
from shared.storage.store import Store, StoreError

#: Seconds between two drawings: hours do not change faster.
_REFRESH_SECONDS = 60.0

#: Recipes in the chart; the CSV has all of them.
_MAX_RANKED = 12

#: Streamlit's figures are too small to be read from two metres.
_FIGURES_KEY, _FIGURE_COLUMNS = "numbers-figures", 4
_FIGURES_STYLE = f"""<style>
.st-key-{_FIGURES_KEY} [data-testid="stMetricLabel"] * {{ font-size: 1.15rem }}
.st-key-{_FIGURES_KEY} [data-testid="stMetricValue"] {{ font-size: 2.75rem; line-height: 1.1 }}
.st-key-{_FIGURES_KEY} [data-testid="stMetricValue"] * {{ white-space: normal }}
</style>"""

_TODAY, _EVENT, _WEEK, _RANGE = "today", "event", "week", "range"


@dataclass(frozen=True)
class _Period:
    """What charts show as one bar: an hour or a day of the exhibition, its label and its numbers."""

    label: str
    row: UsageRow


@console_fragment(run_every=_REFRESH_SECONDS)
def render_numbers(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    """Draw the choice of a range, its key figures, its charts, and the table by hour."""
    # The operator's browser is at the exhibition, the display may run anywhere.
    zone_name = st.context.timezone
    zone, now = parse_zone(zone_name), context.event_hub.now
    try:
        client = context.event_hub.broker.get()
        opened_at = read_runtime_settings(client, context.settings).opened_at
        first_hour, last_hour = _choose_hours(texts, zone, now, opened_at)
        counts = read_usage_counts(client, Store(context.settings.store), first_hour, last_hour)
    except BROKER_OUTAGE as error:
        st.error(texts["broker_away"].format(error=error))
        return
    except StoreError as error:
        st.error(texts["store_away"].format(error=error))
        return
    if not counts:
        st.info(texts["no_numbers"])
        return
    first_hour, last_hour = trim_hours(counts, first_hour, last_hour)
    rows = make_rows(counts, first_hour, last_hour, zone)
    total = sum_rows(counts, first_hour, zone)
    _render_figures(total, texts)
    render_comparisons(list_comparisons(merge_counts(counts.values())), _get_title, texts)
    days = _group_by_day(counts, rows, first_hour, zone, texts)
    _render_charts(_label_hours(rows, texts) if len(days) == 1 else days, total, texts)
    if len(days) > 1:
        values = _make_day_hour_values(rows, first_hour, zone, texts)
        _render_chart(
            texts["chart_hours"],
            make_heat_map(values, [day.label for day in days], _list_hours_of_day(texts)),
            texts["alt_hours"],
        )
    _render_table(rows, texts, {"first": first_hour, "last": last_hour, "zone": zone_name or ""})


def _choose_hours(texts: Mapping[str, str], zone: tzinfo | None, now: float, opened_at: float) -> tuple[int, int]:
    """Draw the choice of a range, and return its first and last hour. opened_at: epoch seconds, 0.0 for no event."""
    this_hour = int(now // HOUR_SECONDS)
    today = find_day(this_hour, zone)
    options = [_TODAY, *([_EVENT] if opened_at else []), _WEEK, _RANGE]
    toolbar = st.columns([5, 4, 2], vertical_alignment="bottom")
    chosen = toolbar[0].segmented_control(
        texts["numbers_of"],
        options,
        default=_TODAY,
        format_func=lambda option: texts[f"range_{option}"],
        key="numbers-range",
    )
    toolbar[2].button(texts["refresh"], key="refresh-numbers", width="stretch")
    if chosen == _EVENT:
        return int(opened_at // HOUR_SECONDS), this_hour
    if chosen == _WEEK:
        return begin_day(today - timedelta(days=6), zone), this_hour
    if chosen == _RANGE:
        picked = toolbar[1].date_input(
            texts["range_days"], (today - timedelta(days=6), today), max_value=today, key="numbers-days"
        )
        days = picked or (today,)  # one of the two while the operator picks
        return begin_day(days[0], zone), begin_day(days[-1] + timedelta(days=1), zone) - 1
    return begin_day(today, zone), this_hour


def _render_figures(total: UsageRow, texts: Mapping[str, str]) -> None:
    recipe = next(iter(total.photos_by_recipe), "")
    figures = {
        "figure_photos": str(total.photos),
        "figure_dreams": str(total.dreams),
        "figure_wait": _format_seconds(total.wait_median_seconds),
        "figure_wait_95": _format_seconds(total.wait_95_percent_seconds),
        "figure_recipe": _get_title(recipe) if recipe else "–",
        "figure_opened": _format_ratio(total.links_opened, total.dreams),
        "figure_saved": _format_ratio(total.dreams_saved, total.dreams),
        "figure_prints": str(total.prints),
    }
    st.html(_FIGURES_STYLE)
    with st.container(key=_FIGURES_KEY):
        for start in range(0, len(figures), _FIGURE_COLUMNS):
            row = list(figures.items())[start : start + _FIGURE_COLUMNS]
            for column, (name, figure) in zip(st.columns(_FIGURE_COLUMNS), row, strict=True):
                column.metric(texts[name], figure)


def _render_charts(periods: Sequence[_Period], total: UsageRow, texts: Mapping[str, str]) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        origins = [origin for origin in Origin if _get_photos(total, origin)]
        photos = make_stacked_bars(
            [
                {"time": period.label, "series": texts[f"origin_{origin}"], "number": _get_photos(period.row, origin)}
                for period in periods
                for origin in origins
            ],
            [texts[f"origin_{origin}"] for origin in origins],
        )
        _render_chart(texts["chart_photos"], photos, texts["alt_photos"].format(count=total.photos))
        recipes = [{"name": _get_title(name), "number": number} for name, number in total.photos_by_recipe.items()]
        if recipes:
            _render_chart(texts["chart_recipes"], make_ranking(recipes[:_MAX_RANKED]), texts["alt_recipes"])
    with right:
        waits = make_range_lines(
            [
                {
                    "time": period.label,
                    "median": period.row.wait_median_seconds,
                    "high": period.row.wait_95_percent_seconds,
                }
                for period in periods
            ],
            texts["median"],
            texts["high"],
        )
        alt = texts["alt_waits"].format(
            median=_format_seconds(total.wait_median_seconds), high=_format_seconds(total.wait_95_percent_seconds)
        )
        _render_chart(texts["chart_waits"], waits, alt)
        guests: dict[str, Callable[[UsageRow], int]] = {
            "opened": lambda row: row.links_opened,
            "saved": lambda row: row.dreams_saved,
            "printed": lambda row: row.prints,
        }
        values = [
            {"time": period.label, "series": texts[f"guest_{name}"], "number": get_number(period.row)}
            for period in periods
            for name, get_number in guests.items()
        ]
        alt = texts["alt_guests"].format(opened=total.links_opened, saved=total.dreams_saved, printed=total.prints)
        _render_chart(
            texts["chart_guests"], make_grouped_bars(values, [texts[f"guest_{name}"] for name in guests]), alt
        )
        if problems := _list_problems(total, texts):
            _render_chart(texts["chart_problems"], make_ranking(problems), texts["alt_problems"])


def _render_table(rows: Sequence[UsageRow], texts: Mapping[str, str], query: Mapping[str, object]) -> None:
    st.markdown(f'<a href="{CSV_PATH}?{urlencode(query)}">{texts["csv"]}</a>', unsafe_allow_html=True)
    with st.expander(texts["table"]):
        numbers: dict[str, Callable[[UsageRow], float | None]] = {
            "figure_photos": lambda row: row.photos,
            "figure_dreams": lambda row: row.dreams,
            "failed_jobs": lambda row: row.failed,
            "refused_files": lambda row: row.refused,
            "figure_wait": lambda row: row.wait_median_seconds,
            "figure_wait_95": lambda row: row.wait_95_percent_seconds,
            "guest_opened": lambda row: row.links_opened,
            "guest_saved": lambda row: row.dreams_saved,
            "guest_printed": lambda row: row.prints,
        }
        table: list[dict[str, Any]] = [
            {texts["hour"]: row.hour_local} | {texts[name]: get_number(row) for name, get_number in numbers.items()}
            for row in rows
        ]
        st.dataframe(table, hide_index=True, width="stretch")
    st.caption(texts["numbers_more"].format(hour=DAY_BEGINS_AT_HOUR))


def _render_chart(title: str, spec: Spec, alt: str) -> None:
    st.markdown(f"#### {title}")
    st.vega_lite_chart(spec, width="stretch", theme=None, alt=alt)


def _label_hours(rows: Sequence[UsageRow], texts: Mapping[str, str]) -> list[_Period]:
    """Return a period for each hour of one day; the hour that is there twice when clocks are set back says which."""
    periods: list[_Period] = []
    for row in rows:
        moment = datetime.fromisoformat(row.hour_local)
        label = _format_hour(moment, texts)
        is_repeated = any(period.label == label for period in periods)
        periods.append(_Period(f"{label} ({moment:%z})" if is_repeated else label, row))
    return periods


def _group_by_day(
    counts: UsageCounts, rows: Sequence[UsageRow], first_hour: int, zone: tzinfo | None, texts: Mapping[str, str]
) -> list[_Period]:
    """Return a period for each day of the exhibition, in which the percentiles are those of all its waiting times."""
    hours_by_day: dict[date, UsageCounts] = {}
    for hour in range(first_hour, first_hour + len(rows)):
        hours_by_day.setdefault(find_day(hour, zone), {})[hour] = counts.get(hour, Counter())
    return [
        _Period(day.strftime(texts["day_format"]), sum_rows(day_counts, min(day_counts), zone))
        for day, day_counts in hours_by_day.items()
    ]


def _make_day_hour_values(
    rows: Sequence[UsageRow], first_hour: int, zone: tzinfo | None, texts: Mapping[str, str]
) -> Values:
    return [
        {
            "day": find_day(hour, zone).strftime(texts["day_format"]),
            "hour": _format_hour(datetime.fromisoformat(row.hour_local), texts),
            "number": row.photos,
        }
        for hour, row in enumerate(rows, first_hour)
    ]


def _list_hours_of_day(texts: Mapping[str, str]) -> list[str]:
    """Return the labels of all hours, in the order of a day of the exhibition."""
    hours = (DAY_BEGINS_AT_HOUR + offset for offset in range(HOURS_PER_DAY))
    return [_format_hour(datetime(2000, 1, 1, hour % HOURS_PER_DAY), texts) for hour in hours]


def _list_problems(total: UsageRow, texts: Mapping[str, str]) -> list[dict[str, object]]:
    """Return what did not become a dream, by cause, the most frequent first."""
    problems = [(texts.get(f"cause_{cause}", cause), number) for cause, number in total.refused_by_cause.items()]
    problems += [(texts["failed_jobs"], total.failed), (texts["cancelled_jobs"], total.cancelled)]
    return [{"name": name, "number": number} for name, number in sorted(problems, key=lambda item: -item[1]) if number]


def _get_photos(row: UsageRow, origin: Origin) -> int:
    return int(getattr(row, f"photos_{origin}"))


def _get_title(recipe: str) -> str:
    try:
        return load_recipe(recipe).title
    except ArtDreamError:  # of another version, or a file of a producer's
        return recipe


def _format_hour(moment: datetime, texts: Mapping[str, str]) -> str:
    return moment.strftime("%H:%M" if moment.minute else texts["hour_format"])


def _format_seconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _format_ratio(number: int, dreams: int) -> str:
    """Return a number, and how many that are for each dream."""
    return f"{number} ({number / dreams:.1f})" if dreams else str(number)
