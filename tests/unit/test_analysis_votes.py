"""Votes smaller than the samples that were sent: what is known of their cost, and what failed samples do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rows import S, grade, row, run_of, table
from tests.synthetic import Run


def poll(*, load: str = "c1", one_request: bool = True, failed: tuple[int, ...] = (), **more: Any) -> Run:
    """Problem a, samples of 4, 1 and 2 s with 40, 10 and 20 tokens and a prompt of 100, beginning together."""
    rows = []
    for sample, (seconds, tokens) in enumerate(((4.0, 40), (1.0, 10), (2.0, 20))):
        name = "a" if one_request else f"a{sample}"
        own = {"sample": sample, "request_id": name, "method": "vote", "load": load} | more
        if sample in failed:
            own |= {"finish_reason": None, "error_kind": "timeout_total"}
        rows.append(row("a", 0, 0.1, seconds, tokens, **own))
    key = {"method": "vote", "load": load}
    grades = [grade("a", "correct", sample=i, **key) for i in range(3)]
    grades += [grade("a", "correct", sample=None, samples=m, score=1.0, **key) for m in (1, 2, 3)]
    return run_of(rows, grades)


def by_size(run: Run) -> dict[int, dict[str, Any]]:
    return {found["samples"]: found for found in table(run).iter_rows(named=True)}


def test_the_cost_of_a_smaller_vote_lies_between_its_share_and_its_slowest_sample_at_concurrency_1() -> None:
    found = by_size(poll())
    slowest = {1: 7 / 3, 2: (2 + 4 + 4) / 3, 3: 4.0}
    for m, seconds in slowest.items():
        assert found[m]["gpu_s_per_problem"] == pytest.approx(2 * seconds)
        assert found[m]["cost_is_upper_bound"] == (m < 3)
        assert found[m]["cost_per_token_gpu_s"] == pytest.approx(2 * seconds / (70 * m / 3))
    assert [found[m]["gpu_s_per_problem_least"] for m in (1, 2)] == pytest.approx([2 * 4 / 3, 2 * 8 / 3])
    assert found[3]["gpu_s_per_problem_least"] is None


def test_the_cost_of_a_smaller_vote_is_not_known_above_concurrency_1() -> None:
    found = by_size(poll(load="c8"))
    for figure in ("gpu_s_per_problem", "cost_per_token_gpu_s", "gpu_s_per_correct", "wall_s"):
        assert [found[m][figure] is None for m in (1, 2, 3)] == [True, True, False], figure
    assert found[3]["gpu_s_per_problem"] == pytest.approx(2 * 4.0)


def test_the_wall_time_is_that_of_all_samples_and_not_of_fewer() -> None:
    found = by_size(poll())
    assert [found[m]["wall_s"] for m in (1, 2, 3)] == [None, None, pytest.approx(4.0)]
    assert found[3]["gpu_s_per_problem"] * found[3]["outcomes"] == pytest.approx(2 * found[3]["wall_s"])


def test_a_prompt_shared_by_choices_is_charged_once_however_many_vote() -> None:
    assert [by_size(poll())[m]["prompt_tokens_mean"] for m in (1, 2, 3)] == pytest.approx([100.0] * 3)
    apart = by_size(poll(one_request=False))
    assert [apart[m]["prompt_tokens_mean"] for m in (1, 2, 3)] == pytest.approx([100.0, 200.0, 300.0])


def test_hosted_prices_of_a_smaller_vote_are_exact() -> None:
    run = poll(load="c8")
    price = {"s": {"backend": "openai", "devices": None, "price": {"input": 1.0, "output": 10.0}}}
    found = by_size(Run(records=run.records, grades=run.grades, manifest={**run.manifest, "settings": price}))
    for m in (1, 2, 3):
        assert found[m]["usd_per_problem"] == pytest.approx((100 + 10 * 70 * m / 3) / 1e6)
        assert not found[m]["cost_is_upper_bound"]


def test_a_failed_sample_abstains_and_is_waited_for() -> None:
    found = by_size(poll(failed=(0,)))
    assert [found[m]["failed"] for m in (1, 2, 3)] == [0, 0, 0]
    assert found[3]["failed_samples_share"] == pytest.approx(1 / 3)
    assert found[3]["latency_mean_s"] == pytest.approx(4.0)
    everything = by_size(poll(failed=(0, 1, 2)))
    assert [everything[m]["failed"] for m in (1, 2, 3)] == [1, 1, 1]
    assert everything[3]["accuracy"] == 0.0


def test_a_vote_runs_from_the_first_sample_sent_to_the_last_token_without_waits_for_our_limits() -> None:
    run = poll(one_request=False)
    rows = run.records.to_dicts()
    for late, waited in ((30.0, 30.0), (1.5, 0.0)):
        moved = {
            name: rows[0][name] + int(late * S) for name in ("sent_ns", "first_token_ns", "last_token_ns", "end_ns")
        }
        held = [{**rows[0], **moved, "limit_wait_ns": int(waited * S)}, *rows[1:]]
        found = by_size(run_of(held, run.grades.to_dicts()))
        assert found[3]["latency_mean_s"] == pytest.approx(4.0 + late - waited)


def test_a_vote_of_which_a_sample_was_not_measured_is_not_measured() -> None:
    run = poll()
    rows = run.records.to_dicts()
    rows[0] |= {"finish_reason": None, "error_kind": "cancelled"}
    found = by_size(run_of(rows, run.grades.to_dicts()))
    assert [(found[m]["outcomes"], found[m]["not_measured"]) for m in (1, 2, 3)] == [(0, 1)] * 3
