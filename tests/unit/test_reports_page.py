"""What the page holds, and how much of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.builders import changed
from tests.unit import test_reports_sample as sample
from tts_compare.reports import REPORTS, Look, page_rows
from tts_compare.reports.sheets import name_settings


def data(page: str) -> dict[str, Any]:
    """The JSON inside a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert found is not None
    loaded: dict[str, Any] = json.loads(found[1])
    return loaded


def elements(page: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """Every element an HTML parser sees, with its attributes."""
    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, attrs))

    Parser().feed(page)
    return found


@pytest.fixture(scope="module")
def page() -> str:
    """With hostile responses."""
    made = REPORTS["html"].render(sample.analysis(hostile=True), sample.run_view(), look=Look())
    assert isinstance(made, str)
    return made


def test_a_page_has_three_scripts_and_none_is_from_a_response(page: str) -> None:
    """Data, library, ours; hostile text is inside the data, where no parser sees a tag."""
    tags = [tag for tag, _ in elements(page)]
    assert tags.count("script") == 3
    assert "img" not in tags
    assert any("<script>document.title" in row["text"] for row in data(page)["responses"]["rows"])


def test_a_page_names_no_other_address(page: str) -> None:
    """Nothing to load: no src, no stylesheet, no import; the policy allows no connection."""
    named = [(tag, name, value) for tag, attrs in elements(page) for name, value in attrs]
    assert [one for one in named if one[1] in ("src", "srcset", "href", "action", "data")] == [
        ("link", "href", "data:,")
    ]
    assert not [one for one in named if one[1].startswith("on")]
    style = re.search(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    assert style is not None
    assert not re.search(r"@import|url\(", style[1])
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "unsafe-eval" not in policy[1]
    assert "script-src 'sha256-" in policy[1]


def test_every_point_and_every_response_is_there_where_they_fit(page: str) -> None:
    """And the page knows that it is all."""
    whole = data(page)
    assert len(whole["groups"][0]["points"]) == sample.analysis().points.height
    responses = whole["responses"]
    assert responses["shown"] == responses["total"] == len(list(sample.records()))
    assert responses["first_only"] is False


def test_a_large_run_keeps_a_bounded_spread_of_problems_the_same_for_every_setting() -> None:
    """No more responses than asked for; each problem chosen has all settings; the whole data set is spanned."""
    run = sample.run_view()
    kept = page_rows.responses(run, name_settings(sample.analysis()), most=30)
    assert kept.shown <= 30
    assert (kept.total, kept.problems_total) == (7 * 12, 12)
    settings = {row["series"] for row in kept.rows}
    assert len(settings) == len(sample.settings())
    for number in range(len(kept.problems)):
        assert {row["series"] for row in kept.rows if row["problem"] == number} == settings
    assert [problem["id"] for problem in kept.problems] == ["p0", "p3", "p6", "p9"]


def test_long_responses_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by its own limit and all by one for the page; what is left out is counted."""
    monkeypatch.setattr(page_rows, "MAX_CHARS_EACH", 8)
    monkeypatch.setattr(page_rows, "MAX_CHARS", 100)
    kept = page_rows.responses(sample.run_view(hostile=False), name_settings(sample.analysis()))
    texts = {row["series"] + str(row["problem"]): (row["text"], row["cut"]) for row in kept.rows}
    assert sum(len(text) for text, _ in texts.values()) <= 100
    assert all(len(text) <= 8 for text, _ in texts.values())
    assert all(len(text) + cut > 20 for text, cut in texts.values())


def test_distributions_are_the_quantiles_of_successful_requests() -> None:
    """Latency 210 ms + 15 ms a token, over the 11 requests that did not fail."""
    rows = page_rows.distributions(sample.run_view(), name_settings(sample.analysis()))
    row = next(r for r in rows if r["what"] == "latency" and r["series"] == "vllm tp1 none")
    assert row["requests"] == 11
    assert row["p50"] == pytest.approx(0.21 + 0.015 * (200 + 37 * 5))
    rate = next(r for r in rows if r["what"] == "rate" and r["series"] == "vllm tp1 none")
    assert rate["p50"] == pytest.approx(1 / 0.015, rel=0.01)


def test_problems_come_from_the_manifest_where_none_are_given() -> None:
    """A run directory alone is enough."""
    run = sample.run_view()
    stated = [{"id": "p0", "problem": "What is 0 + 0?", "answer": "0", "subject": "algebra", "level": 1}]
    run = replace(run, problems=(), manifest=changed(run.manifest, dataset={"name": "q", "problems": stated}))
    kept = page_rows.responses(run, name_settings(sample.analysis()))
    assert kept.problems[0] == {"id": "p0", "subject": "algebra", "level": 1, "text": "What is 0 + 0?", "gold": "0"}
