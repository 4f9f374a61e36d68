"""A small analysis made by hand, which the tests of the reports share, and what it promises."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import polars as pl

from tests import builders
from tests.builders import manifest
from tts_compare.analysis import metrics, schema
from tts_compare.analysis.metrics import PAIR_COLUMNS, POINT_COLUMNS, point_schema
from tts_compare.analysis.schema import Analysis, Claim, Slo, SloChoice
from tts_compare.domain import Problem, RequestError, RequestRecord, RunWarning, Timeline
from tts_compare.reports import RunView

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07<script>document.title='gone'</script>"
    "<img src=x onerror=\"document.title='gone'\"> \u202ereversed | \\boxed{7}"
)
ENGINES = ("vllm", "sglang")
SHAPES = ((1, "none"), (1, "ngram"), (2, "none"), (2, "ngram"))
BUDGETS = (1024, 2048, 4096)
SUBJECTS = ("algebra", "geometry", "number theory")
LEFT_OUT = "sglang/tiny-math-1.5b/tp2-pp1-dp1/ngram"
MANIFEST = manifest(
    format=1,
    dataset={"name": "quickstart", "sha256": "0" * 64},
    machine={"cpu_model": "8 cores"},
    settings={"vllm/tiny-math-1.5b/tp1-pp1-dp1/none": {"device": "cpu"}},
    left_out=[{"setting": LEFT_OUT, "reason": "SGLang has no n-gram speculation on a CPU"}],
    failed=[
        {
            "setting": "vllm/tiny-math-1.5b/tp4-pp1-dp1/none",
            "cause": "\x1b[31mnot enough memory\x1b[0m for 4 ranks",
            "log": "servers/vllm_tp4.log",
            "advice": "lower --max-model-len",
        }
    ],
)


def settings() -> list[str]:
    """The seven settings that have figures."""
    every = [f"{e}/tiny-math-1.5b/tp{tp}-pp1-dp1/{spec}" for e in ENGINES for tp, spec in SHAPES]
    return [setting for setting in every if setting != LEFT_OUT]


def point(setting: str, budget: int, *, load: str = "c1", **changes: Any) -> dict[str, Any]:
    """A row of the points frame, smooth in budget, faster with speculation and tensor parallelism."""
    tp = 2 if "/tp2" in setting else 1
    fast = (1.3 if setting.endswith("ngram") else 1.0) * (1.4 if tp == 2 else 1.0)
    fast *= 0.93 if setting.startswith("sglang") else 1.0
    accuracy = 0.42 + 0.13 * math.log2(budget / 1024) + (0.004 if setting.startswith("sglang") else 0.0)
    tokens = budget * 0.7
    latency = tokens * 0.02 / fast
    row = dict.fromkeys(POINT_COLUMNS, None) | {
        "setting": setting,
        "method": "truncate",
        "budget": budget,
        "load": load,
        "samples": 1,
        "policy": "any",
        "provenance": "measured" if budget == BUDGETS[-1] else "derived",
        "biased": False,
        "n": 40,
        "outcomes": 40,
        "n_compared": 40,
        "failed": 2 if "/tp2" in setting else 0,
        "ungraded": 0,
        "repeats": 1,
        "truncated_share": 0.9 - 0.25 * math.log2(budget / 1024),
        "failed_share": 0.05 if "/tp2" in setting else 0.0,
        "ungraded_share": 0.0,
        "wasted_share": 0.6,
        "accuracy": accuracy,
        "accuracy_lo": accuracy - 0.14,
        "accuracy_hi": accuracy + 0.13,
        "accuracy_bound_lo": accuracy,
        "accuracy_bound_hi": accuracy + (0.05 if "/tp2" in setting else 0.0),
        "latency_mean_s": latency,
        "latency_lo_s": latency * 0.9,
        "latency_hi_s": latency * 1.12,
        "latency_p50_s": latency * 0.95,
        "latency_p90_s": latency * 1.6,
        "ttft_p50_s": 0.21,
        "tpot_mean_s": 0.02 / fast,
        "tokens_mean": tokens,
        "tokens_lo": tokens * 0.93,
        "tokens_hi": tokens * 1.07,
        "flops_mean": tokens * 3e9,
        "devices": tp,
        "cost_per_token_gpu_s": tp * latency / tokens,
        "cost_per_token_lo_gpu_s": 0.95 * tp * latency / tokens,
        "cost_per_token_hi_gpu_s": 1.06 * tp * latency / tokens,
        "gpu_s_per_token": tp * latency / tokens,
        "gpu_s_per_problem": tp * latency,
        "gpu_s_per_problem_lo": tp * latency * 0.9,
        "gpu_s_per_problem_hi": tp * latency * 1.12,
        "gpu_s_per_correct": tp * latency / accuracy,
        "usd_per_problem": tp * latency * 2 / 3600,
        "usd_per_correct": tp * latency / accuracy * 2 / 3600,
        "acceptance_length": 2.31 if setting.endswith("ngram") else None,
        "doubts": ["one_server_start"],
    }
    row |= {
        "compared_accuracy": row["accuracy"],
        "compared_latency_s": row["latency_mean_s"],
        "compared_tokens": row["tokens_mean"],
        "compared_flops": row["flops_mean"],
        "compared_cost_per_token_gpu_s": row["cost_per_token_gpu_s"],
        "compared_gpu_s_per_problem": row["gpu_s_per_problem"],
        "compared_usd_per_problem": row["usd_per_problem"],
    }
    return row | changes


def analysis(*, loads: tuple[str, ...] = ("c1",), hostile: bool = False) -> Analysis:
    """The whole value a report is given."""
    rows = [point(setting, budget, load=load) for load in loads for setting in settings() for budget in BUDGETS]
    frontiers: list[dict[str, Any]] = []
    bands: list[dict[str, Any]] = []
    for axis in metrics.AXES:
        for load in loads:
            on = pareto([row for row in rows if row["load"] == load], axis.metric)
            for row in on:
                row[axis.mark] = True
                row[axis.share] = 0.7
                key = {name: row[name] for name in schema.POINT_KEY}
                frontiers.append(
                    key
                    | {
                        "axis": axis.name,
                        "x": row[axis.metric],
                        "accuracy": row["accuracy"],
                        "share": 0.7,
                        "tie": False,
                    }
                )
                bands.append(
                    {
                        "load": load,
                        "policy": "any",
                        "axis": axis.name,
                        "x": row[axis.metric],
                        "accuracy": row["accuracy"],
                    }
                    | {"accuracy_lo": row["accuracy"] - 0.1, "accuracy_hi": row["accuracy"] + 0.1}
                )
    for row in rows:
        for axis in metrics.AXES:
            row[axis.mark] = bool(row[axis.mark])
    message = f"the server said {HOSTILE}" if hostile else "n is 40: differences under 20 points cannot be seen"
    return Analysis(
        points=pl.DataFrame(rows, schema=point_schema()),
        pairs=pl.DataFrame([pair(loads[0])], schema=dict.fromkeys(PAIR_COLUMNS), strict=False),
        optimal=pl.DataFrame([optimal(loads[0])], schema=dict.fromkeys(metrics.OPTIMAL_COLUMNS), strict=False),
        frontiers=pl.DataFrame(frontiers),
        bands=pl.DataFrame(bands),
        losslessness=pl.DataFrame([lossless(loads[0])]),
        spot_checks=spot_checks(loads[0]),
        claims=(
            Claim(
                letter="b",
                title="speculation lowers latency",
                verdict="holds",
                sentence="vllm/tiny-math-1.5b/tp1-pp1-dp1/ngram is 1.30 times as fast",
                figure=1.3,
                lo=1.24,
                hi=1.38,
                unit="x",
            ),
        ),
        slo=(
            SloChoice(
                load=loads[0],
                policy="any",
                objectives=(Slo(column="latency_p90_s", at_most=True, bound=40.0, text="p90_latency<=40"),),
                point={"setting": settings()[1], "budget": 2048},
                label=f"{settings()[1]} 2k",
                accuracy=0.55,
                share=0.93,
                best_share=0.61,
            ),
        ),
        doubts=(
            RunWarning(
                code="one_server_start", message="one server start", advice="use --repeats 3", setting=settings()[0]
            ),
            RunWarning(
                code="one_server_start", message="one server start", advice="use --repeats 3", setting=settings()[1]
            ),
            RunWarning(code="too_few_problems", message=message, advice="use --problems 200"),
        ),
        formulas={name: f"how {name} is computed" for name in POINT_COLUMNS},
    )


def pareto(rows: list[dict[str, Any]], x: str) -> list[dict[str, Any]]:
    """Rows that no other beats, from cheap to dear."""
    best: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row[x], -row["accuracy"])):
        if not best or row["accuracy"] > best[-1]["accuracy"]:
            best.append(row)
    return best


def pair(load: str) -> dict[str, Any]:
    """One comparison."""
    a, b = settings()[0], settings()[1]
    return dict.fromkeys(PAIR_COLUMNS, None) | {
        "axis": "speculation",
        "a": a,
        "b": b,
        "a_method": "truncate",
        "b_method": "truncate",
        "a_budget": 4096,
        "b_budget": 4096,
        "a_samples": 1,
        "b_samples": 1,
        "load": load,
        "policy": "any",
        "n": 40,
        "accuracy_diff": 0.0,
        "latency_ratio": 1.3,
        "accuracy_verdict": "not separable with 40 problems: about 420 would be needed",
        "latency_verdict": "1.30x (1.24 to 1.38), one server start",
        "cost_verdict": "1.30x (1.24 to 1.38), one server start",
        "doubts": ["one_server_start"],
    }


def optimal(load: str) -> dict[str, Any]:
    """One accuracy target."""
    return {
        "load": load,
        "policy": "any",
        "accuracy_target": 0.6,
        "by_tokens": f"{settings()[3]} 4k",
        "by_flops": f"{settings()[3]} 4k",
        "by_latency": f"{settings()[2]} 4k",
        "by_cost": f"{settings()[1]} 4k",
        "tokens": 2867.0,
        "latency_s": 31.5,
        "gpu_s_per_problem": 44.1,
        "latency_penalty": 1.42,
        "latency_penalty_lo": 1.3,
        "latency_penalty_hi": 1.61,
        "cost_penalty": 1.3,
        "cost_penalty_lo": 1.21,
        "cost_penalty_hi": 1.42,
        "differs_share": 0.97,
    }


def spot_checks(load: str) -> pl.DataFrame:
    """One derived point tried with real requests."""
    row = {"setting": settings()[0], "method": "truncate", "budget": 2048, "load": load, "n": 4}
    return pl.DataFrame([row | {"prefix_equal_share": 0.75, "latency_ratio_p50": 0.99, "tokens_equal_share": 1.0}])


def lossless(load: str) -> dict[str, Any]:
    """One pair that should give the same text."""
    return {
        "axis": "speculation",
        "a": settings()[0],
        "b": settings()[1],
        "method": "truncate",
        "budget": 4096,
        "load": load,
        "policy": "any",
        "n": 40,
        "identical_share": 0.95,
        "identical_lo": 0.83,
        "identical_hi": 0.99,
        "first_difference_tokens_p50": 612.0,
        "accuracy_diff": 0.0,
        "accuracy_diff_lo": -0.05,
        "accuracy_diff_hi": 0.05,
        "length_diff_tokens": 3.0,
        "length_diff_lo_tokens": -9.0,
        "length_diff_hi_tokens": 14.0,
    }


def records(*, problems: int = 12, hostile: bool = True) -> Iterator[RequestRecord]:
    """Rows of every setting at the largest budget; the first problem's responses are hostile, the last one failed."""
    for s, setting in enumerate(settings()):
        for p in range(problems):
            sent = 1_000_000_000 * (s * problems + p)
            tokens = 200 + 37 * p + 5 * s
            first, last = sent + 210_000_000, sent + 210_000_000 + tokens * 15_000_000
            failed = p == problems - 1
            text = HOSTILE if hostile and p == 0 else f"Adding up gives \\boxed{{{p + s}}}."
            yield builders.record(
                setting=setting,
                budget=BUDGETS[-1],
                problem=f"p{p}",
                request_id=f"{s}-{p}",
                sent_ns=sent,
                first_byte_ns=first,
                first_token_ns=first,
                last_token_ns=last,
                end_ns=last,
                prompt_tokens=80,
                completion_tokens=tokens,
                tokens_source="usage",
                finish_reason=None if failed else "stop",
                text=text,
                timeline=Timeline(us=(210_000, tokens * 15_000), tokens=(1, tokens - 1), chars=(1, len(text) - 1)),
                error=RequestError(kind="http_5xx", status=500, message=f"boom {HOSTILE}") if failed else None,
            )


def record_frame(rows: list[RequestRecord]) -> pl.DataFrame:
    """The frame analysis and reports read, without texts."""
    names = schema.record_schema()
    return pl.DataFrame(
        [
            {name: getattr(row, name, None) for name in names}
            | {
                "error_kind": row.error.kind if row.error else None,
                "error_status": row.error.status if row.error else None,
                "doubts": list(row.doubts),
            }
            for row in rows
        ],
        schema=names,
    )


def grade_frame(rows: list[RequestRecord]) -> pl.DataFrame:
    """Every third problem wrong, every fifth without an answer; failed rows are not graded."""
    graded = []
    for row in rows:
        if row.error is not None:
            continue
        p = int(row.problem[1:])
        status = "incorrect" if p % 3 == 2 else "no_answer" if p % 5 == 4 else "correct"
        graded.append(
            {name: getattr(row, name, None) for name in schema.grade_schema()}
            | {"policy": "any", "status": status, "answer": str(p), "layer": "exact", "grader_version": "1"}
        )
    return pl.DataFrame(graded, schema=schema.grade_schema())


def run_view(*, hostile: bool = True) -> RunView:
    """The run the analysis is of."""
    rows = list(records(hostile=hostile))
    return RunView(
        manifest=MANIFEST,
        name="quickstart",
        records=record_frame(rows),
        grades=grade_frame(rows),
        problems=tuple(
            Problem(
                id=f"p{p}",
                problem=f"What is {p} + 0?",
                answer=str(p),
                subject=SUBJECTS[p % len(SUBJECTS)],
                level=1 + p % 5,
            )
            for p in range(12)
        ),
        read_responses=lambda: iter(rows),
    )


def test_the_sample_has_every_column_of_the_points_frame() -> None:
    """Reports are tested with frames of the schema, not of the tests' own invention."""
    assert tuple(analysis().points.columns) == POINT_COLUMNS
    assert analysis().points.height == len(settings()) * len(BUDGETS)
