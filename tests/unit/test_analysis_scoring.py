"""What scoring took, and the doubts that a run with scores carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from tests.builders import manifest
from tts_compare.analysis.rows.samples import measured_rows
from tts_compare.analysis.rows.scoring import scoring_facts, scoring_warnings
from tts_compare.analysis.schema import record_schema
from tts_compare.rundir.facts import ScoringFacts
from tts_compare.rundir.scores import Score, Scorer

SCORER = Scorer(model="rm", api="pooling", reduce="last", step="", activation=True)


def row(sample: int, score: float | None, sent_s: float = 0.0, end_s: float = 1.0, problem: str = "p") -> Score:
    return Score(
        setting="s",
        method="best_of_n",
        budget=8,
        load="c1",
        problem=problem,
        sample=sample,
        call=0,
        repeat=0,
        attempt=0,
        score=score,
        by=SCORER,
        sent_unix_ns=int(sent_s * 1e9),
        end_unix_ns=int(end_s * 1e9),
    )


def test_scoring_takes_the_time_in_which_any_request_was_under_way() -> None:
    rows = [row(0, 0.1, 0, 2), row(1, 0.2, 1, 3), row(2, 0.3, 1.5, 2), row(3, 0.4, 100, 101), row(4, None, 200, 300)]
    assert scoring_facts(rows, ["s", "other"]) == {
        "s": ScoringFacts(model="rm", scored=4, busy_s=4.0),
        "other": ScoringFacts(),
    }


def test_a_best_score_of_exactly_one_that_is_shared_is_saturated() -> None:
    rows = [row(0, 1.0), row(1, 1.0), row(0, 1.0, problem="q"), row(1, 0.9, problem="q")]
    assert scoring_facts(rows, [])["s"].saturated == 1


def doubts(scoring: dict[str, Any]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Codes, with messages and points, of two settings' points, two responses each."""
    points = pl.DataFrame(
        [
            {"setting": setting, "method": method, "budget": 8, "samples": samples, "load": "c1"}
            for setting in ("a", "b")
            for method, samples in (("truncate", 1), ("best_of_n", 1), ("best_of_n", 2))
        ]
    )
    known = {"method": "best_of_n", "budget": 8, "load": "c1", "problem": "p", "call": 0, "repeat": 0, "attempt": 0}
    records = pl.DataFrame(
        [
            known | {"setting": setting, "sample": sample, "phase": "measured", "finish_reason": "stop"}
            for setting in ("a", "b")
            for sample in range(2)
        ],
        schema=record_schema(),
    )
    return {
        warning.code: (warning.message, warning.points)
        for warning in scoring_warnings(points, measured_rows(records), manifest(scoring=scoring))
    }


def test_scores_of_a_file_have_an_unknown_time_at_the_points_of_best_of_n_alone() -> None:
    (code, (message, touched)), *others = doubts({}).items()
    assert (code, others) == ("scoring_untimed", [])
    assert "not known" in message
    assert touched == ("a best_of_n@8 c1", "a best_of_n@8 x2 c1", "b best_of_n@8 c1", "b best_of_n@8 x2 c1")


def test_the_time_of_scoring_is_told_apart_and_so_is_what_has_no_score() -> None:
    facts = {"model": "rm", "scored": 2, "busy_s": 12.34, "saturated": 0}
    told = doubts({"a": facts, "b": facts | {"scored": 1, "saturated": 3}})
    assert set(told) == {"scoring_apart", "unscored", "scores_saturated"}
    assert "took 12.3 s" in told["scoring_apart"][0]
    assert told["unscored"] == (
        "1 of 2 responses have no score; choices that need them are ungraded",
        ("b best_of_n@8 c1", "b best_of_n@8 x2 c1"),
    )
    assert "3 problems" in told["scores_saturated"][0]


def test_a_run_without_best_of_n_has_none_of_these_warnings() -> None:
    points = pl.DataFrame([{"setting": "a", "method": "vote", "budget": 8, "samples": 2}])
    assert scoring_warnings(points, pl.DataFrame(schema=record_schema()), manifest()) == []


def test_each_of_these_warnings_is_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text()
    facts = {"a": {"model": "rm", "scored": 1, "busy_s": 1.0, "saturated": 1}}
    assert {"scoring_untimed", "scoring_apart", "unscored", "scores_saturated"} == doubts(facts).keys()
    assert all(f"\n| {code} |" in page for code in doubts(facts))
