"""Endpoints that ignore, collapse or refuse a control of thinking: each is found out, and told with its certainty."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import rows_of
from tests.integration.stub_thinker import Body, Reply, Thinker, length_of, noise, thinker
from tts_compare.cli import main

SIZE = {"low": 0.5, "medium": 1.0, "high": 2.0}
WARNINGS = ("effort_collapsed", "effort_not_told_apart")


def collapsing(body: Body) -> Reply:
    """Every level thinks as long as every other, but for a little chance."""
    return Reply(thought=round(length_of(body) * noise(body).uniform(0.98, 1.02)))


def honest(body: Body) -> Reply:
    level = body.get("reasoning_effort", "medium")
    return Reply(thought=round(length_of(body) * SIZE[level] * noise(body).uniform(0.9, 1.1)))


def wild(body: Body) -> Reply:
    """Lengths that have nothing to do with anything."""
    return Reply(thought=noise(body).randint(4, 400))


def ran(at: Thinker, out: Path, *flags: str, backend: str = "openai") -> int:
    where = f"--base-url={at.url}" if backend == "openai" else f"--attach={backend}={at.url}"
    argv = [f"--backend={backend}", where, "--model=m", "--dataset=quickstart", "--prompt=math", "--budget=1k"]
    return main([*argv, f"--out={out}", "--quiet", *flags])


def told(out: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    main(["report", str(out), "--format=json"])
    return dict(json.loads(capsys.readouterr().out))


def warnings_of(report: dict[str, Any], *codes: str) -> list[dict[str, Any]]:
    return [row for row in report["doubts"] if row["code"] in codes]


def test_levels_that_an_endpoint_collapses_are_found_by_their_lengths_with_the_certainty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with thinker(collapsing) as at:
        assert ran(at, tmp_path / "run", "--effort=low,high") == 0
    report = told(tmp_path / "run", capsys)
    (found,) = warnings_of(report, *WARNINGS)
    assert found["code"] == "effort_collapsed"
    assert "the efforts low and high give answers of the same length" in found["message"]
    assert "with a certainty of" in found["message"]
    points = {point["level"]: point for point in report["points"]}
    assert list(points) == ["low", "high"], "in the order of the levels"
    assert all("effort_collapsed" in point["doubts"] for point in points.values())
    assert all(point["thinking_tokens_mean"] + point["answer_tokens_mean"] == pytest.approx(point["tokens_mean"])
               for point in points.values())  # fmt: skip


def test_levels_that_differ_are_points_of_their_own_and_nothing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with thinker(honest) as at:
        assert ran(at, tmp_path / "run", "--effort=high,low,medium") == 0
    report = told(tmp_path / "run", capsys)
    assert not warnings_of(report, *WARNINGS)
    rising = [(point["level"], point["method"]) for point in report["points"]]
    assert rising == [("low", "effort-low"), ("medium", "effort-medium"), ("high", "effort-high")]
    tokens = [point["tokens_mean"] for point in report["points"]]
    assert tokens == sorted(tokens)
    assert {row.method for row in rows_of(tmp_path / "run")} >= {"effort-low", "effort-medium", "effort-high"}


def test_lengths_that_wander_are_not_called_collapsed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with thinker(wild) as at:
        assert ran(at, tmp_path / "run", "--effort=low,high") == 0
    (found,) = warnings_of(told(tmp_path / "run", capsys), *WARNINGS)
    assert found["code"] == "effort_not_told_apart"


def test_a_refusal_that_names_the_control_ends_the_setting_and_the_field_is_not_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusing(body: Body) -> Reply:
        return Reply(thought=1, refused="temperature is fine, reasoning_effort 'low' is not supported by this model")

    with thinker(refusing) as at:
        assert ran(at, tmp_path / "run", "--effort=low") == 1
    assert "reasoning_effort" in capsys.readouterr().err
    assert at.bodies
    assert all("reasoning_effort" in body for body in at.bodies)
    assert not [row for row in rows_of(tmp_path / "run") if row.phase == "measured"]


@pytest.mark.parametrize("split", [True, False])
def test_a_budget_that_a_server_ignores_is_told_at_warm_up_and_on_each_row(
    split: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "x.toml"
    config.write_text("[method_options.thinking_budget]\nanswer_tokens = 64\n")
    flags = ("--method=thinking_budget", "--budget=16", "--problems=3", f"--config={config}")
    with thinker(lambda body: Reply(thought=60), split=split) as at:
        ran(at, tmp_path / "run", *flags, backend="vllm")
    assert at.bodies[-1]["thinking_token_budget"] == 16
    report = told(tmp_path / "run", capsys)
    (probe,) = warnings_of(report, "control_ignored")
    assert "a thinking budget of 1 tokens" in probe["message"]
    assert "thinking_over_budget" in {code for point in report["points"] for code in point["doubts"]}
    rows = [row for row in rows_of(tmp_path / "run") if row.phase == "measured"]
    assert [(row.thinking_tokens, row.thinking_source) for row in rows] == [(60, "parser" if split else "marks")] * 3


def test_a_budget_on_a_model_that_does_not_think_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with thinker(lambda body: Reply(thought=0, answer=9)) as at:
        ran(at, tmp_path / "run", "--method=thinking_budget", "--budget=16", "--problems=2", backend="vllm")
    report = told(tmp_path / "run", capsys)
    assert warnings_of(report, "control_ignored")
    assert warnings_of(report, "thinking_not_seen")


def test_a_switch_and_levels_that_leave_the_prompt_as_long_as_it_was_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "x.toml"
    config.write_text('method = ["thinking", "no_thinking"]\n[method_options.no_thinking]\nby = "template"\n')
    with thinker(lambda body: Reply(thought=30)) as at:
        ran(at, tmp_path / "run", f"--config={config}", "--problems=2", backend="vllm")
    switches = [body["chat_template_kwargs"]["enable_thinking"] for body in at.bodies]
    assert set(switches) == {True, False}
    report = told(tmp_path / "run", capsys)
    (found,) = warnings_of(report, "prompts_as_long")
    assert "thinking on" in found["message"]
    assert warnings_of(report, "thinking_not_off"), "it thought although it was told not to"


def test_further_fields_of_engine_and_method_are_in_each_request_and_in_the_manifest(tmp_path: Path) -> None:
    config = tmp_path / "x.toml"
    config.write_text(
        '[extra_body.openai]\nprovider = {order = ["a"]}\n[method_options.truncate.extra_body]\nuser = "u"\n'
    )
    with thinker(honest) as at:
        assert ran(at, tmp_path / "run", f"--config={config}", "--problems=2") == 0
    assert all(body["provider"] == {"order": ["a"]} and body["user"] == "u" for body in at.bodies)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    (facts,) = manifest["settings"].values()
    assert facts["extra_body"] == {"provider": {"order": ["a"]}}
