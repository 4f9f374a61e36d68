"""A server's counters: absent is not zero, and a counter that appears in between began at zero."""

from __future__ import annotations

from pathlib import Path

import pytest

from tts_compare.client import scrape

BEFORE = 'a_total{engine="0"} 3\na_total{engine="1"} 4\n'
AFTER = 'a_total{engine="0"} 5\na_total{engine="1"} 4\nnew_total{position="0"} 6\nnew_total{position="1"} 2\n'


def test_a_change_is_summed_over_the_labels() -> None:
    assert scrape.change(scrape.parse(BEFORE), scrape.parse(AFTER), "a_total") == 2


def test_a_counter_that_first_appears_in_between_began_at_zero() -> None:
    assert scrape.change(scrape.parse(BEFORE), scrape.parse(AFTER), "new_total") == 8
    by = scrape.change_by(scrape.parse(BEFORE), scrape.parse(AFTER), "new_total", "position")
    assert by == {"0": 6.0, "1": 2.0}


def test_what_changed_is_kept_under_the_servers_own_names() -> None:
    nan = "a_gauge NaN\n"
    assert scrape.changes(scrape.parse(BEFORE + nan), scrape.parse(AFTER + nan)) == {
        'a_total{engine="0"}': (3.0, 5.0),
        'new_total{position="0"}': (None, 6.0),
        'new_total{position="1"}': (None, 2.0),
    }
    assert scrape.changes(None, scrape.parse("b_total 1\n")) == {"b_total": (None, 1.0)}


@pytest.mark.parametrize("name", ["missing_total", None])
def test_what_is_absent_is_unknown_not_zero(name: str | None) -> None:
    assert scrape.change(scrape.parse(BEFORE), scrape.parse(AFTER), name) is None
    assert scrape.total(None, "a_total") is None
    assert scrape.change(None, scrape.parse(AFTER), "a_total") is None


def test_what_both_engines_print_is_read(shared_data: Path) -> None:
    vllm = scrape.parse((shared_data / "wire/vllm/metrics-ngram.txt").read_text())
    sglang = scrape.parse((shared_data / "wire/sglang/metrics_after.txt").read_text())
    drafts = scrape.total(vllm, "vllm:spec_decode_num_drafts_total")
    generated = scrape.total(sglang, "sglang:generation_tokens_total")
    assert drafts is not None
    assert drafts > 0
    assert generated is not None
    assert generated > 0
