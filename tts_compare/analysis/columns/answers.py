"""Columns of points on what was asked, what became of it, and how much was right."""

from __future__ import annotations

from tts_compare.analysis.columns.formulas import WILSON
from tts_compare.analysis.metric import Interval, Metric

IDENTITY: tuple[Metric, ...] = (
    Metric(name="setting", kind="text", formula="the setting's id", population="point"),
    Metric(name="method", kind="text", formula="how test-time compute is spent", population="point"),
    Metric(name="budget", kind="count", formula="cap on generated tokens", population="point"),
    Metric(
        name="load", kind="text", formula="c8: eight problems at once; r2: two requests a second", population="point"
    ),
    Metric(name="samples", kind="count", formula="answers that a vote is of; 1 without votes", population="point"),
    Metric(name="policy", kind="text", formula="which box of a response is its answer", population="point"),
    Metric(
        name="level",
        kind="text",
        formula="the effort level that requests state; the budget is then a cap",
        population="point",
    ),
    Metric(
        name="provenance",
        kind="text",
        formula="measured, or derived by cutting the longer responses of the same setting",
        population="point",
    ),
    Metric(name="biased", kind="flag", formula="a derived latency at concurrency above 1", population="point"),
)

ANSWERS: tuple[Metric, ...] = (
    Metric(
        name="prefix_short_share",
        kind="share",
        formula="derived points: tokens by which the whole chunks are short of the budget / the budget",
        population="derived",
    ),
    Metric(
        name="inside_chunk_share",
        kind="share",
        formula="derived points: answers that the budget cuts inside a chunk / answers",
        population="derived",
    ),
    Metric(name="n", kind="count", formula="problems measured"),
    Metric(
        name="outcomes",
        kind="count",
        formula="answers measured: problems x samples x repeats; one vote is one answer",
    ),
    Metric(
        name="answered",
        kind="count",
        formula="answers measured that did not fail: the times to tokens are over these",
    ),
    Metric(
        name="not_measured",
        kind="count",
        formula="answers left without a measurement by an interruption, by 401, 403 or 404, or by a hosted quota; they "
        "are in no figure",
        population="point",
    ),
    Metric(
        name="n_compared",
        kind="count",
        formula="problems measured in every point of the same load and policy; 0 where the point takes no part",
        population="compared",
    ),
    Metric(
        name="failed",
        kind="count",
        formula="answers of which a call failed in all its attempts; of a vote, in all its samples",
    ),
    Metric(
        name="failed_by_kind",
        kind="list",
        formula="answers that failed, by the kind of the last error, the most frequent first",
    ),
    Metric(
        name="errors_by_kind",
        kind="list",
        formula="attempts that failed, those that a retry made good too, by kind, the most frequent first",
    ),
    Metric(name="ungraded", kind="count", formula="answers the grader could not judge"),
    Metric(name="repeats", kind="count", formula="server starts of each round", population="point"),
    Metric(
        name="rounds",
        kind="count",
        formula="shares of the problems, each with server starts of its own",
        population="point",
    ),
    Metric(
        name="truncated_share",
        kind="share",
        formula="answers cut by the budget / answers measured",
        heading="trunc",
        words="truncated",
        objectives=("truncated",),
    ),
    Metric(name="failed_share", kind="share", formula="failed / answers measured", words="failed"),
    Metric(name="ungraded_share", kind="share", formula="ungraded / answers measured", words="ungraded"),
    Metric(
        name="failed_samples_share",
        kind="share",
        formula="samples that failed / samples, of the votes",
        population="votes",
    ),
    Metric(
        name="accuracy",
        kind="share",
        formula="correct / answers measured; no answer, truncated, failed and ungraded are not correct",
        heading="accuracy",
        interval=Interval(lo="accuracy_lo", hi="accuracy_hi", formula=WILSON),
        objectives=("accuracy",),
        better="more",
        tables=("speed", "speed_wide", "cost", "cost_hosted", "cost_wide"),
    ),
    Metric(
        name="accuracy_bound_lo",
        kind="share",
        formula="failed and ungraded all wrong",
        heading="if failed\nwrong",
        words="accuracy if failed answers are wrong",
        tables=("speed_wide",),
        when="failed",
    ),
    Metric(
        name="accuracy_bound_hi",
        kind="share",
        formula="failed and ungraded all right",
        heading="if failed\nright",
        words="accuracy if failed answers are right",
        tables=("speed_wide",),
        when="failed",
    ),
    Metric(
        name="pass_at_samples",
        kind="share",
        formula="pass@m = 1 - C(k - c, m) / C(k, m), mean over problems (Chen et al. 2021)",
        better="more",
    ),
)
