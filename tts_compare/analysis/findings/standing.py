"""How the system-optimal point stands against one point of every other setting, paired by problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tts_compare.analysis.findings.compare import HOSTED_AXIS, difference_axis
from tts_compare.analysis.findings.verdicts import Finding, finding_of
from tts_compare.analysis.rows.attempts import hosted_settings
from tts_compare.analysis.statistics.families import LEVEL
from tts_compare.rundir.facts import SettingFacts
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis

Row: TypeAlias = Mapping[str, Any]
AccuracyFinding = Literal["same answers", "more accurate", "less accurate", "not told apart", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure with its 95 % interval; None where unknown."""

    value: float | None = None
    lo: float | None = None
    hi: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A point as a verdict tells it.

    latency: mean, seconds; a lower bound where ``latency_is_lower_bound``. device_s: device-seconds a problem, an upper
    bound where ``cost_is_upper_bound``. usd_per_million_tokens: dollars a problem over its generated tokens. problems:
    how many were measured; starts: of its server, with a share of the problems or all of them each.
    """

    setting: str
    method: str
    budget: int
    samples: int
    accuracy: Figure
    latency: Figure
    device_s: Figure
    usd_per_problem: float | None
    usd_per_million_tokens: float | None
    latency_is_lower_bound: bool
    cost_is_upper_bound: bool
    failed_share: float
    problems: int
    starts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The chosen point against a point of another setting, paired by problem.

    differs: the one axis along which the settings differ, ``hosted``, or empty for several. latency, cost: the other's
    figure over the chosen one's, above 1 in favour of the chosen one; over the answers both gave where that decides.
    cost_is_usd: in dollars. accuracy: chosen minus other, a share. reason: why there is no verdict, or that it is not
    confirmed. uneven: problems that one side failed more often than the other.
    """

    other: Place
    differs: str
    latency: Figure
    latency_finding: Finding
    cost: Figure
    cost_finding: Finding
    cost_is_usd: bool
    accuracy: Figure
    accuracy_finding: AccuracyFinding
    reason: str
    starts: int
    rounds: int
    uneven: int

    @property
    def beaten(self) -> bool:
        """Whether the other is shown to be slower than the chosen point, or less accurate."""
        return self.latency_finding == "better" or self.accuracy_finding == "more accurate"


def place_of(row: Row) -> Place:
    """A row of the points frame as a verdict tells it."""

    def figure(name: str, lo: str, hi: str) -> Figure:
        return Figure(value=row[name], lo=row[lo], hi=row[hi])

    usd, tokens = row["usd_per_problem"], row["tokens_mean"]
    return Place(
        setting=row["setting"],
        method=row["method"],
        budget=row["budget"],
        samples=row["samples"] or 1,
        accuracy=figure("accuracy", "accuracy_lo", "accuracy_hi"),
        latency=figure("latency_mean_s", "latency_lo_s", "latency_hi_s"),
        device_s=figure("gpu_s_per_problem", "gpu_s_per_problem_lo", "gpu_s_per_problem_hi"),
        usd_per_problem=usd,
        usd_per_million_tokens=usd / tokens * 1e6 if usd is not None and tokens else None,
        latency_is_lower_bound=bool(row["latency_is_lower_bound"]),
        cost_is_upper_bound=bool(row["cost_is_upper_bound"]),
        failed_share=row["failed_share"] or 0.0,
        problems=row["n"] or 0,
        starts=(row["repeats"] or 1) * (row["rounds"] or 1),
    )


def standings_of(analysis: Analysis, manifest: Manifest, rows: Sequence[Row], chosen: Row) -> Iterator[Standing]:
    """The chosen row against every rival of its load and policy; nothing where rivals were not worked out."""
    frame = analysis.rivals
    if frame is None or frame.is_empty():
        return
    own = [
        row for row in frame.iter_rows(named=True) if (row["load"], row["policy"]) == (chosen["load"], chosen["policy"])
    ]
    by_key = {(r["setting"], r["method"], r["budget"], r["samples"]): r for r in rows}
    for row in own:
        other = by_key[tuple(row[f"a{part}"] for part in ("", "_method", "_budget", "_samples"))]
        yield _standing(row, other, analysis, manifest, rivals=len(own))


def _standing(row: Row, other: Row, analysis: Analysis, manifest: Manifest, *, rivals: int) -> Standing:
    hosted = hosted_settings(manifest)
    findings = {figure: _strictly(row, figure, rivals) for figure in ("latency", "cost")}
    return Standing(
        other=place_of(other),
        differs=_differs(row["a"], row["b"], manifest),
        latency=ratio_of(row, "latency", findings["latency"]),
        latency_finding=findings["latency"],
        cost=ratio_of(row, "cost", findings["cost"]),
        cost_finding=findings["cost"],
        cost_is_usd=not hosted.isdisjoint({row["a"], row["b"]}),
        accuracy=Figure(value=row["accuracy_diff"], lo=row["accuracy_diff_lo"], hi=row["accuracy_diff_hi"]),
        accuracy_finding=accuracy_of(row, analysis),
        reason=next(iter(row["doubts"] or ()), ""),
        starts=row["starts"] or 1,
        rounds=row["rounds"] or 1,
        uneven=(row["only_a_failed"] or 0) + (row["only_b_failed"] or 0),
    )


def _strictly(row: Row, figure: str, rivals: int) -> Finding:
    """The finding of a pair, held to Bonferroni over the rivals too: the chosen point was picked by these data."""
    found = finding_of(row[f"{figure}_verdict"])
    p = row[f"{figure}_p"]
    if found in ("better", "worse") and (p is None or p * rivals >= LEVEL):
        return "not told apart"
    return found


def ratio_of(row: Row, figure: str, finding: Finding) -> Figure:
    """A row's ratio of a to b: over the answers both gave where these decide, else with failures charged."""
    sentence = row[f"{figure}_verdict"] or ""
    by_failures = "failures counted" in sentence and "on the answers both gave" not in sentence
    name = f"{figure}_ratio" + ("_answered" if finding in ("better", "worse") and not by_failures else "")
    return Figure(value=row[name], lo=row[f"{name}_lo"], hi=row[f"{name}_hi"])


def accuracy_of(row: Row, analysis: Analysis) -> AccuracyFinding:
    """What a row of PAIR_COLUMNS says of the accuracy of b against a's."""
    if row["accuracy_diff"] is None:
        return "unknown"
    if _same_texts(row, analysis):
        return "same answers"
    p, lo, hi = row["accuracy_p_holm"], row["accuracy_diff_lo"], row["accuracy_diff_hi"]
    if p is not None and p < LEVEL and lo is not None and hi is not None and (lo > 0.0 or hi < 0.0):
        return "more accurate" if row["accuracy_diff"] > 0 else "less accurate"
    return "not told apart"


def _same_texts(row: Row, analysis: Analysis) -> bool:
    """Whether every output of the two was compared and is the same text."""
    if analysis.losslessness.is_empty() or row["a_method"] != row["b_method"] or row["a_budget"] != row["b_budget"]:
        return False
    return any(
        {one["a"], one["b"]} == {row["a"], row["b"]}
        and (one["method"], one["load"], one["policy"]) == (row["a_method"], row["load"], row["policy"])
        and one["budget"] >= row["a_budget"]
        and one["identical_share"] == 1.0
        and one["n"] >= row["n"]
        for one in analysis.losslessness.iter_rows(named=True)
    )


def _differs(a: str, b: str, manifest: Manifest) -> str:
    hosted = hosted_settings(manifest)
    if (a in hosted) != (b in hosted):
        return HOSTED_AXIS
    known = manifest.settings
    return difference_axis(known[a], known[b]) or "" if a in known and b in known else ""


def _plainness(name: str, manifest: Manifest) -> tuple[bool, int, str]:
    facts = manifest.settings.get(name, SettingFacts())
    return (facts.speculation.kind != "none", facts.devices or 0, name)


def baseline_of(standings: Sequence[Standing], manifest: Manifest) -> Standing | None:
    """The chosen setting with other speculation, without any first, where that is all that differs; else the plainest
    of the others.
    """
    alike = [one for one in standings if one.differs == "speculation"]
    return min(alike or standings, key=lambda one: _plainness(one.other.setting, manifest), default=None)


def strongest_of(standings: Sequence[Standing]) -> Standing | None:
    """The rival that comes nearest: of those not beaten if there are any, by its latency over the chosen one's."""
    left = [one for one in standings if not one.beaten] or list(standings)
    return min(left, key=lambda one: one.latency.value or float("inf"), default=None)
