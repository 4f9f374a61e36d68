"""The report as one HTML file that needs no network and sends nothing.

Figures are Vega-Lite, drawn by the Vega bundle that vl-convert carries, in its interpreted mode, so that the page's
content security policy can forbid every script but the two whose hashes it names, and every connection.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from tts_compare.reports import sheets, vega
from tts_compare.reports.document import Document, compose
from tts_compare.reports.figure_rows import AXES_SHOWN, Drawn, rows_to_draw
from tts_compare.reports.labels import Labels
from tts_compare.reports.page_rows import distributions, responses
from tts_compare.reports.plain import one_line, safe_json
from tts_compare.reports.view import Look, RunView

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis


@dataclass(frozen=True, slots=True)
class PageReport:
    """One self-contained page: about 0.9 MB of it is the drawing library, and at most 7 MB responses."""

    suffix: str = ".html"

    def render(self, analysis: Analysis, run: RunView, *, look: Look) -> str:  # noqa: ARG002 - the reader's browser decides
        """The whole page."""
        document = compose(analysis, run, most_pairs=None)
        labels = document.labels
        library, script = _library(), _asset("page.js")
        parts = {
            "title": _text(run.name or "tts-compare"),
            "policy": f"default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; "
            f"script-src '{_hash(library)}' '{_hash(script)}'; base-uri 'none'; form-action 'none'",
            "style": _asset("page.css"),
            "library": library,
            "script": script,
            "data": _embed(_data(analysis, run, labels)),
            "first": "".join(_verdict(document)),
            "summary": "".join(f"<div><dt>{_text(h)}</dt><dd>{_text(told)}</dd></div>" for h, told in document.summary),
            "tables": "".join(_tables(document)),
            "verdicts": "".join(_sheet(sheet, wide=False) for sheet in document.findings),
            "warnings": "".join(_warnings(document)),
        }
        return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset("page.html"))


def _asset(name: str) -> str:
    return resources.files("tts_compare.reports").joinpath("assets", name).read_text("utf-8")


@functools.cache
def _library() -> str:
    """Vega, Vega-Lite and vega-embed in one script that defines ``vegaEmbed``."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _text(text: str) -> str:
    return html.escape(one_line(text, 600))


def _embed(value: Mapping[str, Any]) -> str:
    """JSON that no HTML parser can leave: every ``<``, ``>`` and ``&`` is written as an escape."""
    text = safe_json(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(analysis: Analysis, run: RunView, labels: Labels) -> dict[str, Any]:
    groups = [
        _group(analysis, group, rows_to_draw(analysis, group, labels, on_cpu=run.on_cpu))
        for group in sheets.group_points(analysis)
    ]
    spread = distributions(run, labels)
    order = sorted({row["series"] for row in spread})
    return {
        "groups": groups,
        "themes": {name: vega.theme(name) for name in ("light", "dark")},
        "spread": spread,
        "spreadSpecs": {
            "latency": vega.quantile_bars("Latency (s)", order=order),
            "rate": vega.quantile_bars("Decoding rate (tokens/s)", order=order),
        },
        "responses": asdict(responses(run, labels)),
    }


def _group(analysis: Analysis, group: sheets.Group, drawn: Drawn) -> dict[str, Any]:
    order = sorted({row["series"] for row in drawn.points})
    budgets = sorted({row["budget"] for row in drawn.points})
    axes = []
    for axis in AXES_SHOWN:
        if axis.id not in drawn.scales:
            continue
        unit, has = drawn.scales[axis.id], drawn.has(axis.id)
        axes.append(
            {
                "id": axis.id,
                "title": axis.title,
                "formula": one_line(analysis.formulas.get(axis.column, ""), 400),
                "spec": vega.frontier(axis, unit, log=drawn.log[axis.id], order=order, has=has),
                "curve": vega.budget_curve(
                    f"x_{axis.id}",
                    f"{axis.title} ({unit.unit})",
                    budgets=budgets,
                    log_y=drawn.log[axis.id],
                    order=order,
                    interval=(f"lo_{axis.id}", f"hi_{axis.id}") if "x" in has else None,
                ),
            }
        )
    accuracy_ends = ("lo", "hi") if any(row["lo"] is not None for row in drawn.points) else None
    accuracy = vega.budget_curve(
        "accuracy", "Accuracy (%)", budgets=budgets, log_y=False, order=order, interval=accuracy_ends
    )
    return {
        "load": group.load,
        "policy": group.policy,
        "title": group.title,
        "series": order,
        "axes": axes,
        "accuracyCurve": accuracy,
        "accuracyFormula": one_line(analysis.formulas.get("accuracy", ""), 400),
        "points": drawn.points,
        "frontiers": drawn.frontiers,
        "bands": drawn.bands,
    }


def _verdict(document: Document) -> Iterator[str]:
    for i, line in enumerate(document.verdict):
        yield f'<p class="{"first" if i == 0 else "verdict"}">{_text(line)}</p>'


def _tables(document: Document) -> Iterator[str]:
    for part in document.parts:
        titled = ((f"All points: {part.group.title}", sheets.EVERYTHING),)
        yield from (_sheet(sheet, wide=True) for sheet in document.tables(part, titled, notes=True))


def _sheet(sheet: sheets.Sheet, *, wide: bool) -> str:
    heads = "".join(
        f"<th{_side(i, sheet)}>{'<br>'.join(_text(line) for line in head.splitlines()) or '&nbsp;'}</th>"
        for i, head in enumerate(sheet.heads)
    )
    rows = "".join(
        f"<tr{' class=on' if r in sheet.marked else ''}>"
        + "".join(f"<td{_side(i, sheet)}>{_text(cell)}</td>" for i, cell in enumerate(row))
        + "</tr>"
        for r, row in enumerate(sheet.rows)
    )
    notes = "".join(f"<li>{_text(line)}</li>" for line in (*sheet.formulas, *sheet.notes))
    return (
        f"<section><h2>{_text(sheet.title)}</h2>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(sheet.title)}">'
        f'<table class="{"points" if wide else "words"}"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        f"</div>{f'<ul class=formulas>{notes}</ul>' if notes else ''}</section>"
    )


def _side(column: int, sheet: sheets.Sheet) -> str:
    return "" if column in sheet.left else " class=num"


def _warnings(document: Document) -> Iterator[str]:
    for heading, warnings in document.warnings:
        yield f'<section><h2>{_text(heading)}</h2><ul class="warnings">'
        for warning in warnings:
            where = f'<span class="where">{_text(", ".join(warning.settings))}</span>' if warning.settings else ""
            yield f"<li><code>{_text(warning.code)}</code> {_text(warning.message)}{where}"
            yield f"<p>{_text(warning.remedy)}</p></li>" if warning.remedy else "</li>"
        yield "</ul></section>"
    yield from _listed("Problems that settings failed", document.failures)
    yield from _listed("Settings skipped or failed", document.absences)


def _listed(heading: str, sentences: tuple[str, ...]) -> Iterator[str]:
    if sentences:
        yield f"<section><h2>{heading}</h2><ul>"
        yield from (f"<li>{_text(sentence)}</li>" for sentence in sentences)
        yield "</ul></section>"
