"""A server's counters become figures: what is absent stays unknown, and what contradicts our rows is a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.test_store import record
from tts_compare.backends import BACKENDS
from tts_compare.backends.protocol import MetricNames
from tts_compare.client.scrape import parse
from tts_compare.measure.counters import contradictions, figures
from tts_compare.rundir.metrics import ServerFigures

NAMES = MetricNames(
    drafts="d", accepted_tokens="a", draft_tokens="p", accepted_per_position="pos", requests="r", queue_time="q"
)


def test_acceptance_length_counts_the_token_that_needs_no_draft() -> None:
    before = parse('d 10\na 20\np 50\npos{position="0"} 5\nq_sum 1\nq_count 2\n')
    after = parse('d 20\na 45\np 100\npos{position="0"} 13\npos{position="1"} 4\nq_sum 4\nq_count 8\n')
    seen = figures(before, after, NAMES)
    assert seen.acceptance_length == pytest.approx(1 + 25 / 10)
    assert seen.acceptance_rate == pytest.approx(25 / 50)
    assert seen.accepted_per_position == pytest.approx({"0": 0.8, "1": 0.4})
    assert seen.queue_mean_s == pytest.approx(0.5)


def test_a_gauge_of_zero_is_not_a_measured_acceptance() -> None:
    names = MetricNames(accept_length="len", accept_rate="rate")
    assert figures(parse("len 0\n"), parse("len 0\n"), names).acceptance_length is None
    assert figures(parse("len 0\n"), parse("len 2.5\n"), names).acceptance_length == 2.5


def test_an_engine_that_counts_drafts_and_not_what_was_accepted_is_read_by_its_gauge() -> None:
    names = MetricNames(drafts="d", accept_length="len")
    seen = figures(parse("d 0\nlen 0\n"), parse("d 9\nlen 2.5\n"), names)
    assert (seen.drafts, seen.acceptance_length) == (9, 2.5)


def test_a_server_without_counters_leaves_every_figure_unknown() -> None:
    assert figures(None, None, NAMES) == ServerFigures()


def test_the_names_of_each_engine_are_those_its_server_prints(shared_data: Path) -> None:
    vllm = parse((shared_data / "wire/vllm/metrics-ngram.txt").read_text())
    seen = figures({}, vllm, BACKENDS["vllm"].metrics)
    assert seen.acceptance_length is not None
    assert seen.acceptance_length > 1
    assert seen.generation_tokens
    sglang = figures({}, parse((shared_data / "wire/sglang/metrics_after.txt").read_text()), BACKENDS["sglang"].metrics)
    assert sglang.generation_tokens
    assert sglang.acceptance_length is None


@pytest.mark.parametrize(
    ("seen", "codes"),
    [
        (ServerFigures(requests=2), []),
        (ServerFigures(requests=1), []),
        (ServerFigures(requests=3), ["foreign_requests"]),
        (ServerFigures(running_before=1), ["busy_before"]),
        (ServerFigures(preemptions=2), ["preempted"]),
        (ServerFigures(), []),
    ],
)
def test_only_more_than_we_sent_is_foreign(seen: ServerFigures, codes: list[str]) -> None:
    rows = [record("a"), record("b")]
    assert [warning.code for warning in contradictions(seen, rows, "s")] == codes
