"""The frames analysis reads, and the values it returns; the columns of its own frames are in ``metrics``.

polars is imported inside the functions: this module is read by rooms that must start fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tts_compare.domain import RunWarning

if TYPE_CHECKING:
    import polars as pl

    from tts_compare.analysis.findings.failed_lengths import FailedLengths

Verdict = Literal["holds", "does not hold", "cannot be told"]

#: What identifies a point: a row of ``points.json``.
POINT_KEY = ("setting", "method", "budget", "load", "samples", "policy")
#: What identifies one attempt: a row of ``records.jsonl``.
RECORD_KEY = ("setting", "method", "budget", "load", "problem", "sample", "call", "repeat", "attempt")
#: Optional columns of the records frame: needed for derived points, token gaps and losslessness only.
RECORD_OPTIONAL = ("text", "reasoning", "token_ids", "timeline_us", "timeline_tokens", "timeline_chars")


def record_schema(*, optional: bool = False) -> dict[str, pl.DataType]:
    """Columns and types of the records frame; with ``optional`` those of RECORD_OPTIONAL too.

    ``error`` of a record is flattened to ``error_kind``, ``error_status`` and ``error_message``; ``doubts`` stay a list
    of codes. ``round``, ``session`` and ``limit_wait_ns`` are null in rows of format 1, which stands for 0.
    """
    import polars as pl

    text, whole = pl.String(), pl.Int64()
    schema: dict[str, pl.DataType] = {
        **dict.fromkeys(("setting", "method"), text),
        "budget": whole,
        **dict.fromkeys(("load", "problem"), text),
        **dict.fromkeys(("sample", "call", "repeat", "attempt"), whole),
        **dict.fromkeys(("phase", "request_id"), text),
        **dict.fromkeys(
            (
                "scheduled_ns",
                "connect_ns",
                "sent_ns",
                "first_byte_ns",
                "first_token_ns",
                "first_answer_ns",
                "last_token_ns",
                "end_ns",
                "prompt_tokens",
                "cached_tokens",
                "completion_tokens",
                "reasoning_tokens",
                "thinking_tokens",
            ),
            whole,
        ),
        **dict.fromkeys(("tokens_source", "finish_reason", "error_kind"), text),
        "error_status": whole,
        "error_message": text,
        "doubts": pl.List(pl.String()),
        **dict.fromkeys(("round", "session", "limit_wait_ns"), whole),
    }
    if optional:
        schema |= {"text": text, "reasoning": text}
        schema |= dict.fromkeys(("token_ids", "timeline_us", "timeline_tokens", "timeline_chars"), pl.List(pl.Int64()))
    return schema


def grade_schema() -> dict[str, pl.DataType]:
    """Columns and types of the grades frame: the fields of ``domain.Grade``."""
    import polars as pl

    text, whole = pl.String(), pl.Int64()
    return {
        **dict.fromkeys(("setting", "method"), text),
        "budget": whole,
        **dict.fromkeys(("load", "problem"), text),
        **dict.fromkeys(("sample", "call", "repeat", "attempt"), whole),
        "policy": text,
        "cut_tokens": whole,
        **dict.fromkeys(("status", "answer", "layer", "grader_version"), text),
        "group": whole,
        "samples": whole,
        "score": pl.Float64(),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One of the paper's claims, tried on the user's own data.

    verdict: ``cannot be told`` both where it is not testable and where it is not confirmed. sentence: the verdict in
    words, which tells the two apart, then the figure. figure, lo, hi: the statistic of the part that decides and its
    interval in ``unit``; None where nothing in the run bears on it. evidence: labels of the points it rests on. doubts:
    codes of warnings. source: who made the claim. measured: what the source measured. tested: what was tested here.
    """

    letter: str
    title: str
    verdict: Verdict
    sentence: str
    figure: float | None = None
    lo: float | None = None
    hi: float | None = None
    unit: str = ""
    evidence: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    source: str = ""
    measured: str = ""
    tested: str = ""

    @property
    def word(self) -> str:
        """The verdict as reports say it: what the sentence begins with, where that is a verdict."""
        begun = self.sentence.split(": ", 1)[0]
        return begun if begun in ("not testable", "not confirmed") else self.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """One service-level objective: ``column op bound``, e.g. ``p90_latency=10`` is ``latency_p90_s <= 10``."""

    column: str
    at_most: bool
    bound: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SloChoice:
    """The most accurate point that keeps every objective at one load, None if none does.

    share: of resamples in which this point keeps them; best_share: in which it is also the best that does.
    """

    load: str
    policy: str
    objectives: tuple[Slo, ...]
    point: dict[str, str | int] | None
    label: str
    accuracy: float | None
    share: float | None
    best_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """All that reports show. Frames hold the columns of ``metrics``; doubts are warnings, which name what they touch.

    failed_lengths: a value for each point that failed an answer. rivals: PAIR_COLUMNS, the system-optimal point (b) of
    each load and policy against one point of every other setting (a); None where it was not worked out.
    """

    points: pl.DataFrame
    pairs: pl.DataFrame
    optimal: pl.DataFrame
    frontiers: pl.DataFrame
    bands: pl.DataFrame
    losslessness: pl.DataFrame
    spot_checks: pl.DataFrame
    claims: tuple[Claim, ...] = ()
    slo: tuple[SloChoice, ...] = ()
    doubts: tuple[RunWarning, ...] = ()
    formulas: Mapping[str, str] = field(default_factory=dict)
    failed_lengths: tuple[FailedLengths, ...] = ()
    rivals: pl.DataFrame | None = None
