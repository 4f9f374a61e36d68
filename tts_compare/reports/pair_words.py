"""Comparisons as sentences that name the better side: ``vllm none is 1.44x faster than sglang none``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tts_compare.analysis.findings.compare import HOSTED_AXIS
from tts_compare.analysis.findings.standing import AccuracyFinding, Figure, accuracy_of, ratio_of
from tts_compare.analysis.findings.verdicts import Finding, finding_of
from tts_compare.reports.labels import Labels
from tts_compare.reports.numbers import DASH, budget

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis

LATENCY, COST = ("faster", "slower"), ("cheaper", "more expensive")
#: An accuracy whose interval is within this of no difference is called equal.
_EQUAL = 0.02
_FIRST_AXES = (HOSTED_AXIS, "speculation", "tensor_parallel", "backend", "method")
_IN_STARTS = {"one_server_start": "in this one start", "few_rounds": "in two rounds"}


def pair_sentences(analysis: Analysis, labels: Labels) -> tuple[str, ...]:
    """Every comparison, the largest budget first, then own against hosted, speculation and parallelism."""
    rows = sorted(analysis.pairs.iter_rows(named=True), key=_order)
    loads = len({row["load"] for row in rows}) > 1
    return tuple(_sentence(row, analysis, labels, loads=loads) for row in rows)


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    axis = row["axis"]
    rank = _FIRST_AXES.index(axis) if axis in _FIRST_AXES else len(_FIRST_AXES)
    return (-max(row["a_budget"], row["b_budget"]), rank, -max(row["a_samples"], row["b_samples"]), row["a"], row["b"])


def _sentence(row: Mapping[str, Any], analysis: Analysis, labels: Labels, *, loads: bool) -> str:
    names = {side: _name(row, side, labels) for side in ("a", "b")}
    reason = next(iter(row["doubts"] or ()), "")
    parts = [say_times(_figure(row, "latency"), finding_of(row["latency_verdict"]), reason, LATENCY, subject=names)]
    cost = _figure(row, "cost")
    if cost.value is not None and row["axis"] in (HOSTED_AXIS, "tensor_parallel", "pipeline_parallel"):
        parts.append(say_times(cost, finding_of(row["cost_verdict"]), reason, COST, subject=names))
    figure = Figure(value=row["accuracy_diff"], lo=row["accuracy_diff_lo"], hi=row["accuracy_diff_hi"])
    parts.append(say_accuracy(figure, accuracy_of(row, analysis), subject=names["b"]))
    where = f" ({row['load']})" if loads else ""
    return f"At {budget(max(row['a_budget'], row['b_budget']))} tokens{where}: {'; '.join(parts)}."


def _figure(row: Mapping[str, Any], name: str) -> Figure:
    return ratio_of(row, name, finding_of(row[f"{name}_verdict"]))


def _name(row: Mapping[str, Any], side: str, labels: Labels) -> str:
    name = labels.name(row[side])
    if row["a_method"] != row["b_method"]:
        name += f" {row[f'{side}_method']}"
    if (row["a_samples"] or 1, row["b_samples"] or 1) != (1, 1):
        name += f" x{row[f'{side}_samples']}"
    return name


def say_times(
    figure: Figure,
    finding: Finding,
    reason: str,
    words: tuple[str, str],
    *,
    subject: Mapping[str, str] | None = None,
) -> str:
    """A ratio a / b in words no stronger than what was found: what b is against a.

    subject: the names of a and b; the sentence is then of the side that is better, else of b.
    """
    what = "latency" if words == LATENCY else "cost"
    if figure.value is None or finding == "unknown":
        return f"{what} not known"
    times, span, word = figure.value, _span(figure), words[0]
    if figure.value < 1.0:
        inverse = Figure(
            value=1 / figure.value, lo=1 / figure.hi if figure.hi else None, hi=1 / figure.lo if figure.lo else None
        )
        times, span, word = 1 / figure.value, _span(inverse), words[0] if subject else words[1]
    said = f"{times:.2f}x {word}"
    if subject:
        better, worse = (subject["a"], subject["b"]) if figure.value < 1.0 else (subject["b"], subject["a"])
        if finding == "not told apart":
            return f"{better} and {worse} are not told apart in {what} ({said}{span})"
        return f"{better} is {_sure(said, span, finding, reason)} than {worse}"
    return (
        f"not told apart in {what} ({said}{span})"
        if finding == "not told apart"
        else _sure(said, span, finding, reason)
    )


def _sure(said: str, span: str, finding: Finding, reason: str) -> str:
    if finding == "not confirmed":
        return f"{said} {_IN_STARTS.get(reason, 'in these rounds')} (not confirmed)"
    return f"{said} (no verdict: {reason.replace('_', ' ')})" if finding == "no verdict" else f"{said}{span}"


def _span(figure: Figure) -> str:
    if figure.lo is None or figure.hi is None:
        return ""
    return f" [{short(figure.lo)}{DASH}{short(figure.hi)}]"


def short(value: float) -> str:
    """Three digits of an interval's end."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def say_accuracy(figure: Figure, finding: AccuracyFinding, *, subject: str = "") -> str:
    """A difference of accuracies (b minus a) in words no stronger than what was found."""
    if finding == "same answers":
        return "the same answers"
    if figure.value is None:
        return "accuracy not known"
    span = ""
    if figure.lo is not None and figure.hi is not None:
        span = f" [{100 * figure.lo:+.1f} to {100 * figure.hi:+.1f}]"
        if finding == "not told apart" and max(abs(figure.lo), abs(figure.hi)) <= _EQUAL:
            return f"equal accuracy (within {100 * _EQUAL:.0f} points)"
    said = f"{100 * figure.value:+.1f} points{span}"
    if finding in ("more accurate", "less accurate"):
        return f"{subject} {finding} by {said}".lstrip()
    return f"accuracy not told apart ({said})"
