"""Charts of the console: Vega-Lite specifications, dark, and legible from two metres."""

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Values = Sequence[Mapping[str, object]]

ACCENT_COLOR = "#e8b45a"

#: Colours that remain distinct for people who are colour-blind, next to each other and against the background
#: (Okabe and Ito, 2008; the first is the console's accent).
SERIES_COLORS = (ACCENT_COLOR, "#56b4e9", "#cc79a7", "#9a9388", "#009e73")

#: Behind the line of a chart, in its second colour.
_BACK_COLOR = "#35698c"

_TEXT_COLOR, _GRID_COLOR, _BACKGROUND = "#efe9df", "#2b2722", "#0b0a09"

_FONT_SIZE = 18

#: Pixels of a chart's height, and of one of its rows.
_HEIGHT, _ROW_HEIGHT = 300, 38

#: Room for the numbers behind the bars of a ranking, as a multiple of the longest bar.
_RANKING_DOMAIN_FACTOR = 1.15

_CONFIG: Spec = {
    "background": "transparent",
    "font": "Newsreader, serif",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": _FONT_SIZE,
        "labelColor": _TEXT_COLOR,
        "labelAngle": 0,
        "labelOverlap": "parity",
        "domainColor": _GRID_COLOR,
        "gridColor": _GRID_COLOR,
        "ticks": False,
        "labelPadding": 6,
        "title": None,
    },
    "legend": {
        "labelFontSize": _FONT_SIZE,
        "labelColor": _TEXT_COLOR,
        "labelLimit": 300,
        "symbolType": "square",
        "symbolSize": 200,
        "title": None,
        "orient": "top",
    },
    "text": {"fontSize": _FONT_SIZE, "fill": _TEXT_COLOR},
}

_NUMBER_AXIS: Spec = {"tickMinStep": 1, "tickCount": 4, "format": "d"}


def make_stacked_bars(values: Values, series: Sequence[str]) -> Spec:
    """Return bars over time, stacked by series, with the sum above each.

    values: `time`, `series` and `number` of each part. series: in the order of their colours, from below.
    """
    order = _time_axis(values)
    bars = {
        "mark": {"type": "bar", "stroke": _BACKGROUND, "strokeWidth": 1},
        "encoding": {
            "x": order,
            "y": {"field": "number", "type": "quantitative", "axis": _NUMBER_AXIS},
            "color": _color_scale(series),
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": [{"field": name} for name in ("time", "series", "number")],
        },
    }
    sums = {
        "transform": [
            {"aggregate": [{"op": "sum", "field": "number", "as": "sum"}], "groupby": ["time"]},
            {"filter": "datum.sum > 0"},
        ],
        "mark": {"type": "text", "dy": -10},
        "encoding": {
            "x": order,
            "y": {"field": "sum", "type": "quantitative"},
            "text": {"field": "sum", "type": "quantitative"},
        },
    }
    ordered = [{**value, "order": series.index(str(value["series"]))} for value in values]
    return _finish(ordered, {"layer": [bars, sums] if _has_room_for_text(values) else [bars]})


def make_grouped_bars(values: Values, series: Sequence[str]) -> Spec:
    """Return bars over time, those of each series beside each other. values, series: as for `make_stacked_bars`."""
    return _finish(
        values,
        {
            "mark": "bar",
            "encoding": {
                "x": _time_axis(values),
                "xOffset": {"field": "series", "sort": list(series)},
                "y": {"field": "number", "type": "quantitative", "axis": _NUMBER_AXIS},
                "color": _color_scale(series),
                "tooltip": [{"field": name} for name in ("time", "series", "number")],
            },
        },
    )


def make_range_lines(values: Values, median: str, high: str) -> Spec:
    """Return the median over time as a line with points, and the 95th percentile as bars behind it.

    values: `time`, `median` and `high` in seconds, None for a time without any. median, high: their names.
    """
    order = _time_axis(values)
    tooltip = [
        {"field": "time"},
        {"field": "median", "title": median, "format": ".1f"},
        {"field": "high", "title": high, "format": ".1f"},
    ]
    color = {"scale": {"domain": [median, high], "range": [ACCENT_COLOR, _BACK_COLOR]}, "type": "nominal"}
    return _finish(
        values,
        {
            "layer": [
                {
                    "mark": {"type": "bar", "width": {"band": 0.5}},
                    "encoding": {
                        "x": order,
                        "y": {"field": "high", "type": "quantitative", "axis": {"tickCount": 4}},
                        "color": {**color, "datum": high},
                        "tooltip": tooltip,
                    },
                },
                {
                    "mark": {"type": "line", "strokeWidth": 3, "point": {"size": 90, "filled": True}},
                    "encoding": {
                        "x": order,
                        "y": {"field": "median", "type": "quantitative"},
                        "color": {**color, "datum": median},
                        "tooltip": tooltip,
                    },
                },
            ]
        },
    )


def make_ranking(values: Values) -> Spec:
    """Return one horizontal bar for each value, in their order, with its number. values: `name` and `number`."""
    names = [value["name"] for value in values]  # a chart that is updated would keep its earlier order
    order = {"field": "name", "type": "nominal", "sort": names, "axis": {"labelLimit": 260, "grid": False}}
    longest = max((float(str(value["number"])) for value in values), default=1.0)
    scale = {"domain": [0, _RANKING_DOMAIN_FACTOR * longest]}
    number = {"field": "number", "type": "quantitative", "axis": None, "scale": scale}
    spec = {
        "layer": [
            {
                "mark": {"type": "bar", "color": ACCENT_COLOR, "height": {"band": 0.7}},
                "encoding": {"y": order, "x": number, "tooltip": [{"field": "name"}, {"field": "number"}]},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 8},
                "encoding": {"y": order, "x": number, "text": {"field": "number"}},
            },
        ]
    }
    return _finish(values, spec, height=_ROW_HEIGHT * max(1, len(values)))


def make_heat_map(values: Values, days: Sequence[str], hours: Sequence[str]) -> Spec:
    """Return a field for each hour of each day with its number, the lighter the more happened.

    values: `day`, `hour` and `number`. days, hours: in their order.
    """
    position = {
        "x": {"field": "hour", "type": "ordinal", "sort": list(hours)},
        "y": {"field": "day", "type": "ordinal", "sort": list(days), "axis": {"labelLimit": 200}},
    }
    largest = max((float(str(value["number"])) for value in values), default=1.0)
    color = {
        "field": "number",
        "type": "quantitative",
        "scale": {"range": [_GRID_COLOR, ACCENT_COLOR], "domainMin": 0},
        "legend": None,
    }
    text_color = {
        "condition": {"test": f"datum.number > {largest / 2}", "value": _BACKGROUND},
        "value": _TEXT_COLOR,
    }
    spec = {
        "layer": [
            {
                "mark": {"type": "rect", "stroke": _BACKGROUND, "strokeWidth": 2},
                "encoding": {
                    **position,
                    "color": color,
                    "tooltip": [{"field": name} for name in ("day", "hour", "number")],
                },
            },
            {
                "transform": [{"filter": "datum.number > 0"}],
                "mark": {"type": "text"},
                "encoding": {**position, "text": {"field": "number"}, "color": text_color},
            },
        ]
    }
    return _finish(values, spec, height=_ROW_HEIGHT * max(1, len(days)))


def _time_axis(values: Values) -> Spec:
    """Return the axis of the times, in the order of the values, which a chart that is updated would not follow."""
    return {"field": "time", "type": "ordinal", "sort": list(dict.fromkeys(value["time"] for value in values))}


def _color_scale(series: Sequence[str]) -> Spec:
    scale = {"domain": list(series), "range": list(SERIES_COLORS[: len(series)])}
    return {"field": "series", "type": "nominal", "scale": scale}


def _has_room_for_text(values: Values) -> bool:
    return len({value["time"] for value in values}) <= 24


def _finish(values: Values, spec: Spec, *, height: int = _HEIGHT) -> Spec:
    return {"data": {"values": list(values)}, "height": height, "config": _CONFIG, **spec}
