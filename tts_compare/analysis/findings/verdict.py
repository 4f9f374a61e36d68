"""The verdict of a run as values: which setting to use, how sure that is, what it costs, and what to run next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tts_compare.analysis.findings.barren import Barren, barren
from tts_compare.analysis.findings.choice import cheapest, system_optimal
from tts_compare.analysis.findings.compare import HOSTED_AXIS
from tts_compare.analysis.findings.next_run import next_command
from tts_compare.analysis.findings.standing import (
    Figure,
    Place,
    Row,
    Standing,
    baseline_of,
    place_of,
    standings_of,
    strongest_of,
)
from tts_compare.analysis.findings.verdicts import Finding
from tts_compare.analysis.findings.warning_groups import WarningGroup, group_warnings
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis, SloChoice

Status = Literal["confirmed", "not confirmed", "not told apart", "no verdict", "one setting", "nothing to choose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensChoice:
    """What choosing by tokens would have cost at the highest accuracy: labels of what it would have chosen.

    latency, cost: times the least. confirmed: whether claim (f) holds on this data; else the figures are this run's.
    """

    chosen: tuple[str, ...]
    latency: Figure
    cost: Figure
    confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """The most accurate point that keeps the objectives asked for; None where none does. kept: share of resamples."""

    objectives: tuple[str, ...]
    place: Place | None
    kept: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be said of one load and policy.

    barren: why there is nothing to choose by. others: settings measured besides the chosen one's. cheapest: the point
    of least cost that is as accurate, where it is another than the chosen one; cheapest_finding: whether it is shown to
    be cheaper (``worse``: the chosen one is more expensive). baseline: the chosen setting without what makes it
    special, or the plainest. next: the strongest rival. hosted: the strongest across the
    border of own and hosted. open: settings that are not shown to be worse. next_run: a
    command that would settle what is open; empty where nothing is.
    """

    load: str
    policy: str
    status: Status
    barren: Barren | None
    chosen: Place | None
    others: int
    baseline: Standing | None
    next: Standing | None
    hosted: Standing | None
    open: tuple[Standing, ...]
    cheapest: Place | None
    cheapest_finding: Finding
    within: Within | None
    by_tokens: TokensChoice | None
    warning: WarningGroup | None
    next_run: str


def verdicts(analysis: Analysis, manifest: Manifest) -> tuple[Verdict, ...]:
    """One verdict for each load and policy of the points, the one with the most points first. Pure."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in analysis.points.sort("load", "policy", maintain_order=True).iter_rows(named=True):
        groups.setdefault((row["load"], row["policy"]), []).append(row)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    warnings = group_warnings(analysis.doubts, manifest)
    empty = barren(analysis.points)
    return tuple(_verdict(analysis, manifest, rows, empty=empty.get(key), warnings=warnings) for key, rows in ordered)


def _verdict(
    analysis: Analysis,
    manifest: Manifest,
    rows: Sequence[Row],
    *,
    empty: Barren | None,
    warnings: Sequence[WarningGroup],
) -> Verdict:
    load, policy = rows[0]["load"], rows[0]["policy"]
    chosen = None if empty else system_optimal(rows)
    standings = [] if chosen is None else list(standings_of(analysis, manifest, rows, chosen))
    open_ = tuple(one for one in standings if not one.beaten)
    cheap = None if chosen is None else cheapest(rows)
    same = (
        cheap is None or chosen is None or (cheap["setting"], cheap["budget"]) == (chosen["setting"], chosen["budget"])
    )
    others = len({row["setting"] for row in rows} - ({chosen["setting"]} if chosen else set()))
    status = _status(chosen, others, standings, open_)
    return Verdict(
        load=load,
        policy=policy,
        status=status,
        barren=empty,
        chosen=None if chosen is None else place_of(chosen),
        others=others,
        baseline=baseline_of(standings, manifest),
        next=strongest_of(standings),
        hosted=strongest_of([one for one in standings if one.differs == HOSTED_AXIS]),
        open=open_,
        cheapest=None if same or cheap is None else place_of(cheap),
        cheapest_finding="unknown" if same or cheap is None else _cost_against(standings, cheap),
        within=_within(analysis.slo, rows, load, policy),
        by_tokens=_by_tokens(analysis, load, policy) if chosen else None,
        warning=_most_important(warnings, status),
        next_run=next_command(manifest, status, empty, open_, warnings),
    )


def _status(chosen: Row | None, others: int, standings: Sequence[Standing], open_: Sequence[Standing]) -> Status:
    if chosen is None:
        return "nothing to choose"
    if not others:
        return "one setting"
    if len(standings) < others:
        return "no verdict"
    if not open_:
        return "confirmed"
    if any(one.latency_finding == "not confirmed" for one in open_):
        return "not confirmed"
    return "no verdict" if all(one.latency_finding in ("no verdict", "unknown") for one in open_) else "not told apart"


def _cost_against(standings: Sequence[Standing], cheap: Row) -> Finding:
    """What is shown of the chosen point's cost against the cheapest's."""
    for one in standings:
        if (one.other.setting, one.other.budget) == (cheap["setting"], cheap["budget"]):
            return one.cost_finding
    return "unknown"


def _within(slo: Sequence[SloChoice], rows: Sequence[Row], load: str, policy: str) -> Within | None:
    for choice in slo:
        if (choice.load, choice.policy) != (load, policy):
            continue
        key = choice.point
        found = next((row for row in rows if key is not None and all(row[k] == v for k, v in key.items())), None)
        return Within(
            objectives=tuple(one.text for one in choice.objectives),
            place=None if found is None else place_of(found),
            kept=choice.share,
        )
    return None


def _by_tokens(analysis: Analysis, load: str, policy: str) -> TokensChoice | None:
    """At the highest accuracy on the compute frontier; None where tokens choose what latency and cost choose."""
    rows = [
        row
        for row in analysis.optimal.iter_rows(named=True)
        if (row["load"], row["policy"]) == (load, policy) and row["by_tokens"]
    ]
    if not rows:
        return None
    row = max(rows, key=lambda one: one["accuracy_target"])
    chosen = tuple(row["by_tokens"].split(" = "))
    if chosen == (row["by_latency"],):
        return None
    claim = next((claim for claim in analysis.claims if claim.letter == "f"), None)
    return TokensChoice(
        chosen=chosen,
        latency=_penalty(row, "latency_penalty"),
        cost=_penalty(row, "cost_penalty"),
        confirmed=claim is not None and claim.verdict == "holds",
    )


def _penalty(row: Row, name: str) -> Figure:
    return Figure(value=row[name], lo=row[f"{name}_lo"], hi=row[f"{name}_hi"])


#: What a status says already.
_TOLD: Mapping[Status, frozenset[str]] = {
    "not confirmed": frozenset({"one_server_start", "few_rounds", "bimodal_starts"}),
    "nothing to choose": frozenset({"nothing_correct", "all_truncated"}),
}


def _most_important(warnings: Sequence[WarningGroup], status: Status) -> WarningGroup | None:
    """The first warning, errors and causes first, that the status does not say already; no note."""
    told = _TOLD.get(status, frozenset())
    return next((one for one in warnings if one.severity != "note" and one.code not in told), None)
