"""The differences between the recorded reports of the golden runs and today's that are intended, with their reasons.

CHANGELOG.md lists them too, under "Changed".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_NOTHING_RIGHT = "where no answer was right nothing is told of what accuracy costs: no frontier, and a warning"
_NEW_CLAIM = "claim (h), larger models gain more, was not tested before"
_CLAIM_A = "claim (a) is tested as the curvature of accuracy against latency, in percentage points a second"
_CLAIM_F = "claim (f) is tested over all points whose tokens are tied, and one start confirms no claim"
_CLAIM_G = "claim (g) needs five rounds: one server start is said to be too few"
_HOSTED_PAIR = "a hosted setting is paired with every setting of ours at equal budget, a row that was not there"
_ONE_START = "with one server start no latency and no cost is called different, so there is no corrected p-value"
_FAMILY = "Holm's correction begins at the largest budget; smaller ones step down from it"
_TYPE_7 = "all quantiles are of type 7"
_INSIDE_CHUNK = "a budget inside a chunk of several tokens is cut where the count of tokens reaches it, not before"
_CUT_WARNINGS = "answers cut inside a chunk, and grades of such cuts by an earlier version, have warnings of their own"
_DRAFTS = "drafts that were rejected ran through the model, and count as floating-point operations"
_FIRST_ANSWER = "an answer token that is the last of a prefix is in it; rounding to microseconds dropped it"
_VOTE_LATENCY = "the latency of a vote runs from the first sample's sent, for samples that were sent later too"
_VOTE_COST = "a vote of fewer samples than were sent costs at most what its slowest holds the server for"
_VOTE_PER_TOKEN = "the cost per token of a vote is of the vote's own latency, not of the sum of its samples'"
_VOTE_WALL = "a vote of fewer samples than were sent has no wall time of its own"
_VOTE_DECODE = "decode time is of a request, not of the slowest of a vote"
_NO_INTERVAL = "an interval that so few answers that differ cannot give is unknown"


def _because(reason: str, patterns: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(patterns, reason)


def _columns(rows: str, columns: str) -> list[str]:
    """A pattern of rows with each of several columns, which are separated by spaces."""
    return [f"{rows}.{column}" for column in columns.split()]


_CUT = "points[vllm*/ngram truncate {} c1 1 any]"
_CUT_PAIR = "pairs[speculation * truncate truncate {0} {0} 1 1 c1 any]"
_PART = "points[* vote {} c1 {} any]"
_RATIOS = "latency_ratio latency_ratio_lo latency_ratio_hi latency_p cost_ratio cost_ratio_lo cost_ratio_hi cost_p"
_TESTED = "figure lo hi"

#: Per golden directory, the differences that are intended: a pattern of paths -> why the figure changed.
#:
#: A path names a table, a row by the values of its key columns, and a column, as the failing test prints it, e.g.
#: ``points[vllm/model/tp1-pp1-dp1/none truncate 32 c1 1 any].latency_mean_s``. In a pattern ``*`` stands for any text.
#: A pattern that matches no difference fails the test, so that the list never holds more than what changed. Every
#: entry belongs in CHANGELOG.md too.
EXPECTED_CHANGES: Mapping[str, Mapping[str, str]] = {
    "import": {
        **_because(
            _NOTHING_RIGHT,
            [
                "points[*].on_*_frontier",
                "points[*].share_on_*_frontier",
                "points[*].doubts[nothing_correct]",
                "frontiers[*]",
                "doubts[nothing_correct *]",
            ],
        ),
        "claims[h]": _NEW_CLAIM,
    },
    "quickstart": {
        **_because(_NOTHING_RIGHT, ["points[* 8 c1 1 any].doubts[nothing_correct]", "doubts[nothing_correct None]"]),
        **_because(
            _INSIDE_CHUNK,
            [
                pattern
                for budget in (8, 16)
                for pattern in [
                    *_columns(
                        _CUT.format(budget),
                        "latency_mean_s latency_lo_s latency_hi_s latency_mth_mean_s tpot_* decode_s tokens_*",
                    ),
                    *_columns(_CUT.format(budget), "cost_per_token_* gpu_s_* compared_latency_s compared_tokens"),
                    *_columns(_CUT.format(budget), "compared_cost_per_token_gpu_s compared_gpu_s_per_problem"),
                    *_columns(_CUT_PAIR.format(budget), f"{_RATIOS} paper_cost_ratio* length_ratio speed_ratio"),
                ]
            ]
            + _columns(_CUT.format(16), "wasted_share latency_p50_s latency_p50_hi_s latency_p90_s latency_p90_lo_s")
            # What else is as cheap: settings that give the same text have the same tokens at every budget.
            + ["points[*].on_compute_frontier", "points[*].share_on_compute_frontier"]
            + _columns("points[vllm*]", "share_on_latency_frontier share_on_cost_frontier share_on_paper_cost_frontier")
            + _columns("optimal[c1 any *]", "by_tokens tokens *_penalty *_penalty_lo *_penalty_hi differs_share")
            + ["frontiers[tokens *]*", "frontiers[cost *].share", "frontiers[latency *].share"]
            + ["frontiers[paper_cost *].share", *_columns("claims[b]", _TESTED)],
        ),
        **_because(
            _DRAFTS,
            [
                "points[vllm*/ngram truncate *].*flops*",
                "points[* truncate *].on_flops_frontier",
                "points[* truncate *].share_on_flops_frontier",
                "frontiers[flops *]",
                "optimal[*].by_flops",
            ],
        ),
        "points[* truncate 32 c1 1 any].icl_*": _TYPE_7,
        **_because(_FIRST_ANSWER, [f"points[* truncate {budget} c1 1 any].ttfot_p50_s" for budget in (8, 16)]),
        **_because(_ONE_START, ["pairs[*].latency_p_holm", "pairs[*].cost_p_holm"]),
        **_because(_CLAIM_A, _columns("claims[a]", f"{_TESTED} unit")),
        **_because(_CLAIM_F, _columns("claims[f]", f"{_TESTED} evidence[*]")),
        **_because(
            _CUT_WARNINGS,
            [
                "points[vllm*/ngram *].doubts[grades_of_format_1]",
                "points[vllm*/ngram *].doubts[cut_inside_chunk]",
                "doubts[grades_of_format_1 *]",
                "doubts[cut_inside_chunk *]",
            ],
        ),
        "claims[g].doubts[one_server_start]": _CLAIM_G,
        "claims[h]": _NEW_CLAIM,
    },
    "votes": {
        **_because(
            _VOTE_LATENCY,
            [
                *_columns("points[* vote * c1 * any]", "latency_* compared_latency_s"),
                *_columns("pairs[*]", "latency_ratio* latency_p speed_ratio"),
                *_columns("optimal[*]", "latency_s latency_penalty*"),
                "frontiers[latency *].x",
            ],
        ),
        **_because(
            _VOTE_COST,
            [
                pattern
                for samples in (1, 2)
                for pattern in [
                    *_columns(_PART.format("*", samples), "gpu_s_per_token gpu_s_per_problem* gpu_s_per_correct"),
                    *_columns(_PART.format("*", samples), "usd_per_* compared_gpu_s_per_problem compared_usd_*"),
                    *_columns(_PART.format("*", samples), "doubts[vote_cost_bound]"),
                ]
            ]
            + _columns("points[vllm*]", "on_cost_frontier on_usd_frontier share_on_cost_frontier share_on_usd_frontier")
            + ["pairs[method vllm*].cost_ratio*", "pairs[method vllm*].cost_p", "optimal[*].gpu_s_per_problem"]
            + ["frontiers[cost *]*", "frontiers[usd *]*", "doubts[vote_cost_bound vllm*]"],
        ),
        **_because(
            _VOTE_PER_TOKEN,
            [
                *_columns("points[vllm*]", "cost_per_token_* compared_cost_per_token_gpu_s"),
                "points[vllm*].share_on_paper_cost_frontier",
                "pairs[method vllm*].paper_cost_ratio*",
                "frontiers[paper_cost *].*",
            ],
        ),
        **_because(_VOTE_WALL, [f"{_PART.format('*', samples)}.wall_s" for samples in (1, 2)]),
        **_because(_VOTE_DECODE, [f"{_PART.format('*', samples)}.decode_s" for samples in (2, 4)]),
        "points[openai* vote 16 *].tokens_lo": _NO_INTERVAL,
        "points[vllm* vote 16 *].tokens_lo": _NO_INTERVAL,
        "points[* vote * c1 * any].icl_*": _TYPE_7,
        **_because(_ONE_START, ["pairs[*].latency_p_holm", "pairs[*].cost_p_holm"]),
        "pairs[*].accuracy_p_holm": _FAMILY,
        **_because(_CLAIM_F, _columns("claims[f]", f"verdict {_TESTED} evidence[*]")),
        "claims[h]": _NEW_CLAIM,
        "pairs[hosted *]": _HOSTED_PAIR,
    },
}
