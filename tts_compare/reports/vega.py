"""Vega-Lite specifications, as data: the page draws them in the browser, figures are drawn from them without one.

Specifications name their data (``points``, ``frontier``, ``band``, ``quantiles``); who draws supplies it.
"""

from __future__ import annotations

from typing import Any

from tts_compare.reports.figure_rows import AxisShown
from tts_compare.reports.numbers import Scale

Spec = dict[str, Any]

_INK = {"light": "#1f2328", "dark": "#e6edf3"}
_FAINT = {"light": "#d0d7de", "dark": "#30363d"}
# Eight hues told apart under the common colour-vision deficiencies (after Okabe and Ito), darkened or lightened to
# a contrast of at least 3:1 on the page's background. Seven shapes: colour and shape together give 56 series.
_HUES = {
    "light": ("#0067a5", "#b34700", "#00805e", "#a6407f", "#6b5300", "#2b83a8", "#5b4ba8", "#5c636a"),
    "dark": ("#58a6ff", "#ff9a4d", "#2dc79b", "#e88bc4", "#d9b83c", "#7cc7e8", "#b3a4f5", "#aab2bb"),
}
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")


def theme(name: str) -> Spec:
    """The Vega configuration of the ``light`` or the ``dark`` theme."""
    ink, faint = _INK[name], _FAINT[name]
    words = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 13}
    return {
        "background": "#ffffff" if name == "light" else "transparent",
        "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif",
        "axis": {
            **words,
            "domainColor": ink,
            "tickColor": ink,
            "gridColor": faint,
            "gridOpacity": 0.6,
            "titleFontWeight": 500,
            "titlePadding": 8,
        },
        "legend": {**words, "symbolSize": 90, "symbolOpacity": 1, "labelLimit": 260},
        "title": {"color": ink, "subtitleColor": ink, "anchor": "start", "fontSize": 15, "subtitleFontSize": 12},
        "header": {**words, "labelFontSize": 13},
        "range": {"category": list(_HUES[name]), "symbol": list(_SHAPES)},
        "view": {"stroke": None},
        "mark": {"color": ink},
    }


def frontier(axis: AxisShown, unit: Scale, *, log: bool, order: list[str], has: frozenset[str]) -> Spec:
    """Accuracy against one axis: points with their intervals, the curve of each series, the frontier and its band.

    has: which of ``band``, ``frontier``, ``y`` and ``x`` (the intervals) there are figures for; Vega warns of a mark
    without any.
    """
    x = _x(f"x_{axis.id}", f"{axis.title} ({unit.unit})", log=log)
    y = {"field": "accuracy", "type": "quantitative", "title": "Accuracy (%)", "scale": {"zero": False, "nice": True}}
    colour = _colour(order)
    step = {"interpolate": "step-before" if axis.more_is_better else "step-after", "clip": True}
    bar = {"type": "rule", "strokeWidth": 1.2}
    faint = _picked(0.25)
    optional: dict[str, Spec] = {
        "band": {
            "data": {"name": "band"},
            "mark": {"type": "area", "opacity": 0.12, "strokeWidth": 0, **step},
            "encoding": {"x": x | {"field": "x"}, "y": y | {"field": "accuracy_lo"}, "y2": {"field": "accuracy_hi"}},
        },
        "frontier": {
            "data": {"name": "frontier"},
            "mark": {"type": "line", "strokeWidth": 2, "fill": None, **step},
            "encoding": {"x": x | {"field": "x"}, "y": y},
        },
        "y": {
            "mark": bar,
            "encoding": {"x": x, "y": y | {"field": "lo"}, "y2": {"field": "hi"}, "color": colour, "opacity": faint},
        },
        "x": {
            "mark": bar,
            "encoding": {
                "x": x | {"field": f"lo_{axis.id}"},
                "x2": {"field": f"hi_{axis.id}"},
                "y": y,
                "color": colour,
                "opacity": faint,
            },
        },
    }
    layers: list[Spec] = [
        *(layer for name, layer in optional.items() if name in has),
        {
            "mark": {"type": "line", "strokeWidth": 1.2},
            "encoding": {"x": x, "y": y, "color": colour, "order": {"field": "order"}, "opacity": _picked(0.5)},
        },
        {
            "transform": [{"filter": f"datum['on_{axis.id}']"}],
            "mark": {"type": "point", "fill": None, "size": 230, "strokeWidth": 1.6, "shape": "circle"},
            "encoding": {"x": x, "y": y},
        },
        {
            "params": [{"name": "pick", "select": {"type": "point", "fields": ["series"]}, "bind": "legend"}],
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": {"x": x, "y": y, "color": colour, "shape": _shape(order), "opacity": _picked(1.0)},
        },
        {
            # Larger than what is seen, so that a finger finds it.
            "mark": {"type": "circle", "size": 500, "opacity": 0.0001},
            "encoding": {"x": x, "y": y, "tooltip": _tooltip(axis)},
        },
    ]
    return {"data": {"name": "points"}, "height": 400, "width": "container", "layer": layers}


def budget_curve(
    field: str, title: str, *, budgets: list[int], log_y: bool, order: list[str], interval: tuple[str, str] | None
) -> Spec:
    """One figure against the budget, a line a series; interval: the fields of its ends, None where unknown."""
    scale = {"type": "log"} if log_y else {"zero": False, "nice": True}
    x = {
        "field": "budget",
        "type": "quantitative",
        "title": "Budget (generated tokens)",
        # A thinking budget of 0 has no place on a scale of logarithms.
        "scale": {"type": "log", "base": 2, "nice": False} if min(budgets, default=1) else {"type": "symlog"},
        "axis": {
            "values": budgets,
            "labelOverlap": "greedy",
            "labelExpr": "datum.value >= 1024 ? (datum.value / 1024) + 'k' : datum.value",
            "grid": False,
        },
    }
    y = {"field": field, "type": "quantitative", "title": title, "scale": scale}
    colour = _colour(order)
    bars: list[Spec] = []
    if interval is not None:
        lo, hi = interval
        ends = {"y": y | {"field": lo}, "y2": {"field": hi}}
        bars = [{"mark": {"type": "rule"}, "encoding": {"x": x, **ends, "color": colour, "opacity": {"value": 0.3}}}]
    return {
        "data": {"name": "points"},
        "transform": [{"filter": "!isValid(datum.level)"}],  # of an effort the budget is a cap
        "height": 260,
        "width": "container",
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {"x": x, "y": y, "color": colour}},
            *bars,
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": colour,
                    "shape": _shape(order),
                    "tooltip": [
                        {"field": "series", "title": "setting"},
                        {"field": "budget_said", "title": "budget"},
                        {"field": field, "title": title, "format": ".3s"},
                    ],
                },
            },
        ],
    }


def quantile_bars(title: str, *, order: list[str]) -> Spec:
    """A distribution a row: a line from p5 to p95, a bar from p25 to p75, a tick at the median."""
    y = {"field": "series", "type": "nominal", "sort": order, "title": None}
    told = [{"field": "series", "title": "setting"}] + [
        {"field": name, "title": name, "format": ".3s"} for name in ("p5", "p25", "p50", "p75", "p95", "requests")
    ]

    def span(lo: str, hi: str | None) -> Spec:
        x: Spec = {"field": lo, "type": "quantitative", "title": title, "scale": {"zero": False, "nice": True}}
        # Where names are long the plot is narrower than its title, which then has room to the left only.
        x["axis"] = {"titleAnchor": "end"}
        colour = _colour(order) | {"legend": None}
        return {"x": x, "color": colour, "tooltip": told} | ({"x2": {"field": hi}} if hi else {})

    return {
        "data": {"name": "quantiles"},
        "width": "container",
        "encoding": {"y": y},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 1.5}, "encoding": span("p5", "p95")},
            {"mark": {"type": "bar", "height": 12, "opacity": 0.65}, "encoding": span("p25", "p75")},
            {
                "mark": {"type": "tick", "thickness": 3, "height": 18},
                "encoding": {k: v for k, v in span("p50", None).items() if k != "color"},
            },
        ],
    }


def _x(field: str, title: str, *, log: bool) -> Spec:
    scale: Spec = {"type": "log", "nice": False, "padding": 16} if log else {"zero": False, "nice": True, "padding": 12}
    # Labels stay under their ticks: pushed inwards, the outermost run into their neighbours.
    axis = {"grid": False, "labelFlush": False, "labelSeparation": 8, "tickCount": 10}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def _colour(order: list[str]) -> Spec:
    return {"field": "series", "type": "nominal", "scale": {"domain": order}, "title": None}


def _shape(order: list[str]) -> Spec:
    return {"field": "series", "type": "nominal", "scale": {"domain": order}, "title": None}


def _picked(opacity: float) -> Spec:
    """Series that are not picked in the legend fade; none picked is all picked."""
    return {"condition": {"param": "pick", "value": opacity}, "value": 0.05}


def _tooltip(axis: AxisShown) -> list[Spec]:
    return [
        {"field": "series", "title": "setting"},
        {"field": "budget_said", "title": "budget"},
        {"field": "accuracy_said", "title": "accuracy"},
        {"field": f"said_{axis.id}", "title": axis.in_words},
        {"field": f"share_{axis.id}", "title": "frontier share"},
        {"field": "truncated_said", "title": "truncated"},
        {"field": "failed_said", "title": "failed"},
    ]
