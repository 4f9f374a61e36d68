"""Analysis -> the sentences of a report: comparisons, claims, objectives, and the settings without figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tts_compare.reports.labels import Labels, shorten
from tts_compare.reports.loads import say_load
from tts_compare.reports.numbers import DASH, budget
from tts_compare.reports.plain import one_line
from tts_compare.reports.sheets import Sheet, optimal_sheet

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis, SloChoice
    from tts_compare.reports.view import RunView

#: Rows of the comparisons table in the terminal; all of them are in the page and in the JSON.
MAX_PAIRS = 16
_UNCONFIRMED, _ONE_START = "not confirmed: ", " in this one start"


def verdict_sheets(
    analysis: Analysis, labels: Labels, *, on_cpu: bool, limit: int | None = MAX_PAIRS
) -> Iterator[Sheet]:
    """Every table of verdicts that has rows, in the order they are read."""
    if analysis.optimal.height:
        yield optimal_sheet(analysis, labels, on_cpu=on_cpu)
    if analysis.slo:
        yield slo_sheet(analysis, labels)
    if analysis.pairs.height:
        yield pairs_sheet(analysis, labels, limit=limit)
    if analysis.losslessness.height:
        yield lossless_sheet(analysis, labels)
    if analysis.spot_checks.height:
        yield spot_sheet(analysis, labels)
    if analysis.claims:
        yield claims_sheet(analysis, labels)


def pairs_sheet(analysis: Analysis, labels: Labels, *, limit: int | None = MAX_PAIRS) -> Sheet:
    """Every pair along one axis, in words; the largest budget first, so that a cut leaves the main answers."""
    rows = sorted(
        analysis.pairs.iter_rows(named=True),
        key=lambda row: (-max(row["a_budget"], row["b_budget"]), _rank(row["axis"]), row["a"], row["b"]),
    )
    shown = rows if limit is None else rows[:limit]
    more = len(rows) - len(shown)
    said = tuple(_pair_row(row, labels, varied=varied_parts(rows)) for row in shown)
    sheet = Sheet(
        title="Comparisons, paired by problem",
        heads=("axis", "from", "to", "budget", "n", "accuracy", "latency", "cost"),
        rows=said,
        left=frozenset({0, 1, 2, 5, 6, 7}),
        notes=(
            "Verdicts are corrected for their number (Holm); a ratio above 1 means the second is better.",
            *((f"comparisons that are only in --format json and in the page: {more}.",) if more > 0 else ()),
        ),
        sentences=tuple(
            f"{axis}: {a} to {b}, budget {size}, {n} problems: accuracy {accuracy}; latency {latency}; cost {cost}"
            for axis, a, b, size, n, accuracy, latency, cost in said
        ),
    )
    return _starred(sheet)


def _rank(axis: str) -> tuple[int, str]:
    """What the paper is about comes first."""
    order = ("speculation", "tensor_parallel", "backend", "method")
    return (order.index(axis) if axis in order else len(order), axis)


def _starred(sheet: Sheet) -> Sheet:
    """A remark that most verdicts carry is said once, below."""
    if not any(_ONE_START in cell for row in sheet.rows for cell in row):
        return sheet
    return replace(
        sheet,
        rows=tuple(tuple(_star(cell) for cell in row) for row in sheet.rows),
        sentences=tuple(_star(sentence) for sentence in sheet.sentences),
        notes=("*: not confirmed, in one server start each: two starts may differ by as much.", *sheet.notes),
    )


def _star(cell: str) -> str:
    return cell.replace(_UNCONFIRMED, "").replace(_ONE_START, "*") if _ONE_START in cell else cell


def varied_parts(rows: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Which of method, number of samples and load differ between comparisons, and must be said of each."""
    seen = {
        name: {row.get(key) for row in rows for key in (name, f"a_{name}", f"b_{name}") if key in row}
        for name in ("method", "samples", "load")
    }
    return frozenset(name for name, values in seen.items() if len(values) > 1)


def _pair_row(row: Mapping[str, Any], labels: Labels, *, varied: frozenset[str]) -> tuple[str, ...]:
    same_budget = row["a_budget"] == row["b_budget"]
    budgets = budget(row["a_budget"]) if same_budget else f"{budget(row['a_budget'])} to {budget(row['b_budget'])}"
    return (
        row["axis"].replace("_", " "),
        name_side(row, "a", labels, varied=varied),
        name_side(row, "b", labels, varied=varied),
        budgets + (f" ({row['load']})" if "load" in varied else ""),
        str(row["n"]),
        *(shorten(row[f"{name}_verdict"] or DASH, labels) for name in ("accuracy", "latency", "cost")),
    )


def name_side(row: Mapping[str, Any], side: str, labels: Labels, *, varied: frozenset[str]) -> str:
    """One side of a comparison, with its method and its number of samples where they differ between comparisons."""
    setting = shorten(labels.of.get(row[side], row[side]), labels)
    if "method" in varied:
        setting += f" {row[f'{side}_method']}"
    if "samples" in varied:
        setting += f" x{row[f'{side}_samples']}"
    return setting


def claims_sheet(analysis: Analysis, labels: Labels) -> Sheet:
    """The paper's claims on the run's own data."""
    said = tuple(
        (
            f"({claim.letter})",
            one_line(claim.title),
            claim.word,
            shorten(claim.sentence, labels).removeprefix(f"{claim.word}: "),
        )
        for claim in analysis.claims
    )
    return Sheet(
        title="The paper's claims (arXiv:2509.19645) on this data",
        heads=("", "claim", "verdict", "why"),
        rows=said,
        left=frozenset({0, 1, 2, 3}),
        sentences=tuple(
            f"{letter} {title}: {verdict.upper()}. {why[:1].upper()}{why[1:]}" for letter, title, verdict, why in said
        ),
    )


def slo_sheet(analysis: Analysis, labels: Labels) -> Sheet:
    """The best setting that keeps every objective, a load a row."""
    said = tuple(_slo_row(choice, labels) for choice in analysis.slo)
    return Sheet(
        title="Objectives",
        heads=("load", "objectives", "best setting that keeps them", "accuracy", "keeps them", "is the best"),
        rows=said,
        left=frozenset({0, 1, 2}),
        notes=("keeps them, is the best: shares of bootstrap resamples.",),
        sentences=tuple(
            f"{load}, {objectives}: {best}, accuracy {accuracy}; keeps them in {kept}, best in {share} of resamples"
            for load, objectives, best, accuracy, kept, share in said
        ),
    )


def _slo_row(choice: SloChoice, labels: Labels) -> tuple[str, ...]:
    return (
        say_load(choice.load),
        ", ".join(one_line(slo.text) for slo in choice.objectives),
        shorten(choice.label, labels) if choice.point is not None else "none",
        _percent(choice.accuracy),
        _percent(choice.share),
        _percent(choice.best_share),
    )


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{share:.0%}"


def lossless_sheet(analysis: Analysis, labels: Labels) -> Sheet:
    """Settings that should not change the answers, and whether they did."""
    rows = list(analysis.losslessness.iter_rows(named=True))
    said = tuple(_lossless_row(row, labels, varied=varied_parts(rows)) for row in rows)
    return Sheet(
        title="Did the setting change the answers?",
        heads=("axis", "reference", "setting", "budget", "n", "same text", "first differs\nat token", "accuracy"),
        rows=said,
        left=frozenset({0, 1, 2}),
        sentences=tuple(
            f"{axis}: {a} to {b}, budget {size}, {n} outputs: {same} the same text"
            + ("" if at == DASH else f", the others differ from token {at} on (median)")
            + f"; accuracy {accuracy}"
            for axis, a, b, size, n, same, at, accuracy in said
        ),
    )


def _lossless_row(row: Mapping[str, Any], labels: Labels, *, varied: frozenset[str]) -> tuple[str, ...]:
    at = row["first_difference_tokens_p50"]
    method = f" {row['method']}" if "method" in varied else ""
    return (
        row["axis"].replace("_", " "),
        shorten(row["a"], labels) + method,
        shorten(row["b"], labels) + method,
        budget(row["budget"]) + (f" ({row['load']})" if "load" in varied else ""),
        str(row["n"]),
        _percent(row["identical_share"]),
        DASH if at is None else f"{at:.0f}",
        _points(row["accuracy_diff"]),
    )


def spot_sheet(analysis: Analysis, labels: Labels) -> Sheet:
    """Derived points that were tried with real requests."""
    said = tuple(
        (
            shorten(row["setting"], labels),
            budget(row["budget"]),
            say_load(row["load"]),
            str(row["n"]),
            _percent(row["prefix_equal_share"]),
            _percent(row["tokens_equal_share"]),
            DASH if row["latency_ratio_p50"] is None else f"{row['latency_ratio_p50']:.2f}x",
        )
        for row in analysis.spot_checks.iter_rows(named=True)
    )
    return Sheet(
        title="Spot checks of derived points",
        heads=("setting", "budget", "load", "n", "same\ntext", "same\ntokens", "derived over\nmeasured latency"),
        rows=said,
        left=frozenset({0, 2}),
        notes=("derived over measured latency: the median over problems.",),
        sentences=tuple(
            f"{setting}, budget {size}, {load}, {n} requests: {text} the same text, {tokens} the same tokens, derived "
            f"over measured latency {ratio} (median)"
            for setting, size, load, n, text, tokens, ratio in said
        ),
    )


def _points(share: float | None) -> str:
    return DASH if share is None else f"{100 * share:+.1f} pp"


def absences(run: RunView) -> tuple[str, ...]:
    """One sentence for each setting that was skipped, and each server that did not start or died for good."""
    left_out = [f"skipped: {a.setting}: {a.reason}" for a in run.left_out]
    failed = [f"failed: {a.setting}: {a.reason}" for a in run.failed_servers]
    extra = [
        (f"; log: {a.log}" if a.log else "") + (f"; {a.advice}" if a.advice else "")
        for a in (*run.left_out, *run.failed_servers)
    ]
    return tuple(one_line(text + more, 500) for text, more in zip((*left_out, *failed), extra, strict=True))
