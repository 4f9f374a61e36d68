"""Every method runs on both real engines, through the program itself, on servers that already run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.engines.conftest import CACHE_BLOCK
from tests.integration.running import grades_of, rows_of
from tts_compare.cli import main
from tts_compare.launchers import Server
from tts_compare.methods import METHODS

KEY = "TTS_COMPARE_TEST_KEY"
PROBLEMS = 3
SAMPLES = 4


def argv(server: Server, engine: str, model: Path, out: Path, *flags: str) -> list[str]:
    return [
        f"--backend={engine}",
        f"--attach={engine}={server.endpoint.base_url}",
        f"--api-key-env={KEY}",
        f"--model={model}",
        "--dataset=quickstart",
        f"--problems={PROBLEMS}",
        "--max-model-len=2048",
        f"--out={out}",
        *flags,
    ]


@pytest.fixture(params=["vllm", "sglang"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Server]:
    """A running server and its name; its key is in the environment."""
    name: str = request.param
    server: Server = request.getfixturevalue(f"{name}_server")
    monkeypatch.setenv(KEY, server.endpoint.api_key or "")
    return name, server


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """A score for every problem and sample of the quickstart set."""
    from tts_compare.dataset import load_problems

    path = tmp_path / "scores.jsonl"
    rows = [
        {"problem": problem.id, "sample": sample, "score": (sample * 7 % 4) / 4}
        for problem in load_problems("quickstart").problems
        for sample in range(SAMPLES)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("method", "flags", "rows_each"),
    [
        ("truncate", [], 1),
        ("force", ["--prompt=math"], 2),
        ("no_thinking", ["--prompt=math"], 1),
        ("vote", [f"--samples={SAMPLES}", "--temperature=0.8"], SAMPLES),
        ("best_of_n", [f"--samples={SAMPLES}", "--temperature=0.8"], SAMPLES),
    ],
)
def test_the_method_runs_whole(
    method: str,
    flags: list[str],
    rows_each: int,
    engine: tuple[str, Server],
    tiny_model: Path,
    scores: Path,
    tmp_path: Path,
) -> None:
    name, server = engine
    run = tmp_path / "run"
    config = tmp_path / "method.toml"
    config.write_text(f'[method_options.best_of_n]\nscores = "{scores}"\n' if method == "best_of_n" else "")
    command = argv(server, name, tiny_model, run, f"--method={method}", "--budget=24", f"--config={config}", *flags)
    assert main(command) == 0
    rows = [row for row in rows_of(run) if row.phase == "measured"]
    assert all(row.ok for row in rows)
    assert set(Counter(row.problem for row in rows).values()) == {rows_each}
    assert {row.tokens_source for row in rows} <= {"usage", "token_ids"}
    assert all(sum(row.timeline.tokens) == row.completion_tokens for row in rows)
    points = json.loads((run / "points.json").read_text())
    assert all(point["latency_mean_s"] > 0 and point["n"] == PROBLEMS for point in points)
    if METHODS[method].reuses_prefix:
        (told,) = json.loads((run / "manifest.json").read_text())["server_metrics"][rows[0].setting]
        prefix = told["prefix"]
        assert (prefix["unknown"], prefix["block_tokens"]) == (None, CACHE_BLOCK[name])
        assert 0 < prefix["observed_tokens"] <= prefix["expected_tokens"]
        assert prefix["observed_tokens"] == told["prefix_hit_tokens"]
        assert "prefix_cache_hits" not in {code for point in points for code in point["doubts"]}
    if rows_each == SAMPLES:
        assert {grade.samples for grade in grades_of(run) if grade.sample is None} == {1, 2, 4}


def test_a_derived_point_equals_the_measured_one(engine: tuple[str, Server], tiny_model: Path, tmp_path: Path) -> None:
    name, server = engine
    run = tmp_path / "run"
    flags = ("--budget=16,64", f"--spot-check={PROBLEMS}")
    assert main(argv(server, name, tiny_model, run, *flags)) == 0
    rows = rows_of(run)
    whole = {row.problem: row for row in rows if row.phase == "measured"}
    checks = [row for row in rows if row.phase == "spot_check"]
    assert len(checks) == PROBLEMS
    for check in checks:
        assert check.completion_tokens == 16
        assert whole[check.problem].full_text.startswith(check.full_text.rstrip("\ufffd"))
