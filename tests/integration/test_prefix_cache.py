"""What the server's prefix cache served is held against what the point's own prompts can explain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import Bench, bench, rows_of
from tests.standin import tokenizer_file
from tts_compare.cli import main
from tts_compare.dataset import load_problems
from tts_compare.measure.tasks import warm_up_problems
from tts_compare.methods import PROMPTS

PROBLEMS = 4
SAMPLES = 3
VOTE = ("--backend=vllm", "--method=vote", f"--samples={SAMPLES}", "--temperature=0.8", f"--problems={PROBLEMS}")
BLOCK = 16


def table(home: Path, *server: str, tokenizer: bool = True) -> Bench:
    """A server with a prefix cache of blocks of 16 tokens, and its model's tokenizer beside it."""
    made = bench(home, extra=("--token-rate", "2000", "--prefix-caching", *server))
    if tokenizer:
        problems = (*load_problems("quickstart").problems, *warm_up_problems(16))
        tokenizer_file(made.model, [PROMPTS["fewshot"].text_for(problem) for problem in problems])
    return made


def told(run: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of server metrics, and the doubts about the prefix cache, as the report tells them."""
    (metrics,) = json.loads((run / "manifest.json").read_text())["server_metrics"].values()
    points = json.loads((run / "points.json").read_text())
    return metrics, [code for point in points for code in point["doubts"] if code == "prefix_cache_hits"]


@pytest.mark.parametrize("workers", [1, 2])
def test_votes_that_find_each_others_prompts_are_no_warning_however_many_they_find(
    workers: int, tmp_path: Path
) -> None:
    made = table(tmp_path)
    assert main(made.argv("run", *VOTE, "--budget=8", "--concurrency=2", f"--workers={workers}")) == 0
    (row,), doubts = told(made.home / "run")
    rows = [row for row in rows_of(made.home / "run") if row.phase == "measured"]
    found = sum(row.cached_tokens or 0 for row in rows)
    assert found > sum(row.prompt_tokens or 0 for row in rows) / 2
    assert row["prefix"] == {
        "expected_tokens": found,
        "observed_tokens": found,
        "observed_from": "usage",
        "block_tokens": BLOCK,
        "unknown": None,
    }
    assert row["prefix_expected_tokens"] == row["prefix_hit_tokens"] == found
    assert doubts == []


def test_a_server_that_keeps_its_cache_between_points_is_warned_of_with_both_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = table(tmp_path, "--keeps-cache")
    assert main(made.argv("run", *VOTE, "--budget=8,24", "--curve=per-budget")) == 0
    (first, second), doubts = told(made.home / "run")
    for row in (first, second):
        assert row["prefix"]["observed_tokens"] > row["prefix"]["expected_tokens"] > 0
    # The warm-up's prompts have but the template in common with the problems, the first point's are the second's.
    assert second["prefix"]["observed_tokens"] > first["prefix"]["observed_tokens"]
    assert first["prefix"]["expected_tokens"] == second["prefix"]["expected_tokens"]
    seen = sum(row["prefix"]["observed_tokens"] for row in (first, second))
    expected = sum(row["prefix"]["expected_tokens"] for row in (first, second))
    assert doubts
    capsys.readouterr()
    assert main(["report", str(made.home / "run")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{seen} prompt tokens came from the prefix cache" in said
    assert f"{expected} were expected" in said
    assert "% of the prompt tokens came from the prefix cache" not in said


def test_hits_of_a_cache_that_is_off_are_warned_of(tmp_path: Path) -> None:
    made = table(tmp_path)
    config = tmp_path / "off.toml"
    config.write_text("prefix_caching = false\n")
    assert main(made.argv("run", *VOTE, "--budget=8", f"--config={config}")) == 0
    (row,), doubts = told(made.home / "run")
    assert row["prefix"]["expected_tokens"] == 0
    assert row["prefix"]["observed_tokens"] > 0
    assert doubts


def test_without_the_models_tokenizer_the_figure_is_null_with_the_reason(tmp_path: Path) -> None:
    made = table(tmp_path, tokenizer=False)
    assert main(made.argv("run", *VOTE, "--budget=8")) == 0
    (row,), _ = told(made.home / "run")
    assert row["prefix_expected_tokens"] is None
    assert "tokenizer.json is not at hand" in row["prefix"]["unknown"]
    assert row["prefix"]["observed_tokens"] > 0


def test_a_forced_answer_finds_the_thinking_before_it(tmp_path: Path) -> None:
    made = table(tmp_path)
    flags = ("--backend=vllm", "--method=force", f"--problems={PROBLEMS}", "--budget=8")
    assert main(made.argv("run", *flags)) == 0
    (row,), doubts = told(made.home / "run")
    rows = [row for row in rows_of(made.home / "run") if row.phase == "measured"]
    second = [row for row in rows if row.call == 1]
    assert len(second) == PROBLEMS
    assert row["prefix"]["expected_tokens"] >= sum((row.cached_tokens or 0) for row in second) > 0
    assert row["prefix"]["observed_tokens"] <= row["prefix"]["expected_tokens"]
    assert doubts == []
