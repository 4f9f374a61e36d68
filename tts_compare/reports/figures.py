"""The figures as files, PNG, SVG or PDF, drawn without a browser: the shape of the paper's Figures 1 and 2."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from tts_compare.reports import vega
from tts_compare.reports.figure_rows import AXES_SHOWN, AxisShown, Drawn, rows_to_draw
from tts_compare.reports.sheets import Group, group_points, name_settings
from tts_compare.reports.view import RunView

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis

FileFormat = Literal["png", "svg", "pdf"]
_WIDTH, _HEIGHT = 420, 320
#: Characters of the subtitle that a panel is wide.
_LINE = 80
_NUMBERED = {"latency": "figure1-accuracy-latency", "paper_cost": "figure2-accuracy-cost-per-token"}


def draw_figures(analysis: Analysis, run: RunView, *, file_format: FileFormat) -> dict[str, bytes]:
    """File name -> contents: accuracy against each axis that has figures, for each load and policy.

    Figure 1 is accuracy against mean latency, Figure 2 against cost per token, a curve a setting through its budgets
    (arXiv:2509.19645, Figures 1 and 2); a panel a model where there are several.
    """
    groups = group_points(analysis)
    files = {}
    for group, axis, spec in figure_specs(analysis, run, groups):
        name = _NUMBERED.get(axis.id, f"accuracy-{axis.id}".replace("_", "-"))
        if len(groups) > 1:
            name += "-" + re.sub(r"[^A-Za-z0-9.]+", "-", f"{group.load}-{group.policy}")
        files[f"{name}.{file_format}"] = draw(spec, file_format)
    return files


def draw(spec: dict[str, Any], file_format: FileFormat) -> bytes:
    """A Vega-Lite specification with its data as a file."""
    import vl_convert

    match file_format:
        case "png":
            drawn: bytes = vl_convert.vegalite_to_png(spec, scale=2)
        case "svg":
            drawn = vl_convert.vegalite_to_svg(spec).encode()
        case "pdf":
            drawn = vl_convert.vegalite_to_pdf(spec)
    return drawn


def figure_specs(
    analysis: Analysis, run: RunView, groups: tuple[Group, ...]
) -> Iterator[tuple[Group, AxisShown, dict[str, Any]]]:
    """A Vega-Lite specification, its data inside, of each figure that the points can draw."""
    labels = name_settings(analysis)
    for group in groups:
        drawn = rows_to_draw(analysis, group, labels, on_cpu=run.on_cpu)
        for axis in AXES_SHOWN:
            if axis.id in drawn.scales:
                yield group, axis, _whole(analysis, group, axis, drawn)


def _whole(analysis: Analysis, group: Group, axis: AxisShown, drawn: Drawn) -> dict[str, Any]:
    """One specification with its data, a fixed size, and the formula under the title."""
    order = sorted({row["series"] for row in drawn.points})
    models = sorted({row["model"] for row in drawn.points})
    chart = vega.frontier(axis, drawn.scales[axis.id], log=drawn.log[axis.id], order=order, has=drawn.has(axis.id))
    data = {"points": drawn.points} | {
        name: [row for row in rows if row["axis"] == axis.id]
        for name, rows in (("frontier", drawn.frontiers), ("band", drawn.bands))
    }
    theme = vega.theme("light")
    panels = [_panel(chart, model if len(models) > 1 else None) for model in models]
    formula = analysis.formulas.get(axis.column, "")
    return {
        "title": {
            "text": f"Accuracy against {axis.in_words}, {group.title}",
            "subtitle": [
                *textwrap.wrap(f"{axis.title}: {formula}" if formula else "", _LINE * len(models)),
                "bars: 95 % intervals; ringed: on the frontier, which the steps join; shaded: its 95 % band",
            ],
        },
        "datasets": data,
        "config": theme | {"legend": theme["legend"] | {"labelLimit": 0}},
        "hconcat": panels,
        "resolve": {"scale": {"y": "shared"}},
    }


def _panel(chart: dict[str, Any], model: str | None) -> dict[str, Any]:
    """One panel of a figure: the curves of one model before the frontier of all."""
    panel = dict(chart)
    panel |= {"width": _WIDTH, "height": _HEIGHT, "layer": [_still(layer) for layer in chart["layer"]]}
    if model is None:
        return panel
    keep = {"filter": {"field": "model", "equal": model}}
    layers = [
        layer if "data" in layer else layer | {"transform": [keep, *layer.get("transform", [])]}
        for layer in panel["layer"]
    ]
    return panel | {"layer": layers, "title": {"text": model, "fontSize": 13}}


def _still(layer: dict[str, Any]) -> dict[str, Any]:
    """A layer without what only a browser can do: picking and tooltips."""
    encoding = {
        name: {"value": value["condition"]["value"]} if isinstance(value, dict) and "condition" in value else value
        for name, value in layer["encoding"].items()
        if name != "tooltip"
    }
    return {key: value for key, value in layer.items() if key != "params"} | {"encoding": encoding}
