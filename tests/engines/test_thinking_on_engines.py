"""Controls of thinking on the real engines: budgets exact in tokens, silent cases found out, one frontier of all."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from tests.engines.conftest import running
from tests.engines.thinking_model import ANSWER, CLOSE_ID, make_thinking_model
from tests.integration.running import rows_of
from tts_compare.cli import main
from tts_compare.domain import Reasoning, RequestRecord, Setting
from tts_compare.installer.registry import EnginePython
from tts_compare.launchers import Server, ServerPlan

KEY = "TTS_COMPARE_TEST_KEY"
BUDGETS = (0, 5, 20, 100)
PROBLEMS = 5
LEVELS = ("minimal", "medium", "high")
ALL_CONTROLS = """
method = ["thinking_budget", "effort", "thinking", "no_thinking"]
effort = ["minimal", "low", "medium", "high"]
budget = [0, 5, 20, 100]
curve = "per-budget"
[method_options.thinking_budget]
answer_tokens = 32
[method_options.no_thinking]
by = "template"
"""


@pytest.fixture(scope="module")
def model(engine_python: Callable[[str], EnginePython], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model that thinks."""
    return make_thinking_model(engine_python("vllm").path, tmp_path_factory.mktemp("models") / "qwen3-thinker")


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems whose answer is the one that the model gives when its thinking is ended."""
    path = tmp_path_factory.mktemp("data") / "problems.jsonl"
    rows = [{"id": f"p{n}", "problem": f"What is {n} + {4 - n}?", "answer": ANSWER} for n in range(PROBLEMS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ran(out: Path, model: Path, problems: Path, config: str, *flags: str) -> int:
    settings = out.with_suffix(".toml")
    settings.write_text(config)
    argv = [f"--config={settings}", f"--model={model}", f"--dataset={problems}", "--prompt=math", f"--out={out}"]
    return main([*argv, "--max-model-len=1024", "--quiet", *flags])


def measured(run: Path, method: str) -> list[RequestRecord]:
    return [row for row in rows_of(run) if row.phase == "measured" and row.method == method]


def report_of(run: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    main(["report", str(run), "--format=json"])
    return dict(json.loads(capsys.readouterr().out))


def chunk_of_end(row: RequestRecord) -> int:
    """Tokens of the chunk in which the reasoning ends."""
    chars = accumulate(row.timeline.chars)
    return next(gain for gain, so_far in zip(row.timeline.tokens, chars, strict=True) if so_far >= len(row.reasoning))


def codes_of(run: Path) -> set[str]:
    return {row["code"] for row in json.loads((run / "manifest.json").read_text())["doubts"]}


def check_one_frontier(report: dict[str, Any]) -> None:
    """Budgets, efforts, thinking on and off are points of one frontier, each at its own tokens and seconds."""
    for setting in {point["setting"] for point in report["points"]}:
        points = [point for point in report["points"] if point["setting"] == setting]
        methods = {point["method"] for point in points}
        assert {
            "thinking_budget",
            "thinking",
            "no_thinking",
            "effort-minimal",
            "effort-medium",
            "effort-high",
        } == methods
        assert all(point["on_latency_frontier"] is not None for point in points)
        assert all(point["latency_mean_s"] > 0 and point["gpu_s_per_problem"] > 0 for point in points)
        (off,) = [p for p in points if p["method"] == "no_thinking" and p["budget"] == 100]
        (on,) = [p for p in points if p["method"] == "thinking" and p["budget"] == 100]
        assert (off["accuracy"], on["accuracy"]) == (1.0, 0.0)
        assert off["on_compute_frontier"]
        assert off["thinking_tokens_mean"] == 0
        assert on["tokens_mean"] == pytest.approx(on["thinking_tokens_mean"]) == pytest.approx(100)
        levels = [point["level"] for point in points if point["level"]]
        assert levels == list(LEVELS), "low renders as minimal does, and is no point of its own"
    (alike,) = {row["message"] for row in report["doubts"] if row["code"] == "efforts_alike"}
    assert "the efforts minimal and low render the same prompt" in alike


def test_vllm_keeps_budgets_to_the_token_with_and_without_speculation_and_all_controls_share_a_frontier(
    model: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert ran(run, model, problems, ALL_CONTROLS, "--backend=vllm", "--spec=none,ngram") == 0
    rows = measured(run, "thinking_budget")
    assert len(rows) == 2 * len(BUDGETS) * PROBLEMS
    for row in rows:
        assert (row.thinking_tokens, row.thinking_source) == (row.budget, "token_ids"), row.setting
        assert row.text.strip() == f"\\boxed{{{ANSWER}}}"
        assert row.finish_reason == "stop"
    chunked = [row for row in rows if row.token_ids is not None]
    assert {row.budget for row in chunked} >= {20, 100}, "with n-gram several tokens come in one chunk"
    assert all(row.token_ids is not None and row.token_ids.index(CLOSE_ID) == row.budget for row in chunked)
    assert not {"control_ignored", "prompts_as_long"} & codes_of(run)
    report = report_of(run, capsys)
    check_one_frontier(report)
    budgets = [p for p in report["points"] if p["method"] == "thinking_budget"]
    assert all(point["thinking_tokens_mean"] == point["budget"] and point["accuracy"] == 1.0 for point in budgets)
    assert all(point["ttfot_p50_s"] >= point["ttft_p50_s"] for point in budgets)


def test_sglang_keeps_budgets_by_its_processor_without_overlap_and_all_controls_share_a_frontier(
    model: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert ran(run, model, problems, ALL_CONTROLS, "--backend=sglang", "--spec=none,ngram") == 0
    manifest = json.loads((run / "manifest.json").read_text())
    (facts,) = manifest["settings"].values()
    assert {"--disable-overlap-schedule", "--enable-custom-logit-processor"} <= set(facts["argv"])
    assert "NGRAM" in manifest["left_out"][0]["reason"]
    rows = measured(run, "thinking_budget")
    assert len(rows) == len(BUDGETS) * PROBLEMS
    for row in rows:
        # The server counts the thoughts, the line end that its processor writes, and the mark.
        assert row.reasoning_tokens == row.budget + 2
        assert row.reasoning.endswith("\n")
        assert row.text.strip() == f"\\boxed{{{ANSWER}}}"
        assert not {"thinking_over_budget", "thinking_reopened", "thinking_not_seen"} & set(row.doubts)
    single = [row for row in rows if chunk_of_end(row) == 1]
    assert single
    assert all(row.thinking_tokens == row.budget + 1 for row in single), "chunks of one token tell exactly"
    assert not {"control_ignored", "prompts_as_long"} & codes_of(run)
    check_one_frontier(report_of(run, capsys))


def forced(out: Path, server: Server, model: Path, problems: Path, *, way: str) -> dict[tuple[str, int], str]:
    """Problem and budget -> all that was generated and injected."""
    config = f'method = "force"\nbudget = [5, 20]\n[method_options.force]\nforce_in = "{way}"\nanswer_tokens = 12\n'
    url = server.endpoint.base_url
    assert ran(out, model, problems, config, "--backend=vllm", f"--attach=vllm={url}", f"--api-key-env={KEY}") == 0
    texts: dict[tuple[str, int], str] = {}
    for row in sorted(measured(out, "force"), key=lambda row: row.call):
        key = (row.problem, row.budget)
        texts[key] = texts.get(key, "") + (FORCED if row.call else "") + row.reasoning + row.text
    return texts


FORCED = "\n</think>\n\n**Final Answer**\n\nThe final answer is"


def test_the_engine_forces_an_answer_in_one_request_as_the_client_does_in_two(
    model: Path,
    problems: Path,
    engine_plan: Callable[[Setting], ServerPlan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server's parser takes the mark out of the text; the rest is the same, word by word."""
    setting = Setting(
        backend="vllm",
        model=str(model),
        max_model_len=1024,
        prefix_caching=True,
        reasoning=Reasoning(end=FORCED, parser="qwen3"),
    )
    with running(engine_plan(setting)) as server:
        monkeypatch.setenv(KEY, server.endpoint.api_key or "")
        engine = forced(tmp_path / "engine", server, model, problems, way="engine")
        client = forced(tmp_path / "client", server, model, problems, way="client")
    assert engine.keys() == client.keys()
    for key, text in engine.items():
        assert text.replace("</think>", "") == client[key].replace("</think>", ""), key
    calls = {way: {row.call for row in measured(tmp_path / way, "force")} for way in ("engine", "client")}
    assert calls == {"engine": {0}, "client": {0, 1}}
    for row in measured(tmp_path / "engine", "force"):
        assert row.thinking_tokens == row.budget + 1, "the end begins with a line end"
        assert "thinking_over_budget" not in row.doubts


def attached(server: Server, engine: str) -> tuple[str, ...]:
    return (f"--backend={engine}", f"--attach={engine}={server.endpoint.base_url}", f"--api-key-env={KEY}")


@pytest.fixture(params=["vllm", "sglang"])
def plain(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Server]:
    """A server of a model whose template knows no control, without any flag for them."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    monkeypatch.setenv(KEY, server.endpoint.api_key or "")
    return request.param, server


@pytest.mark.parametrize(
    "config",
    [
        'method = "effort"\neffort = ["low", "high"]\nbudget = 16\n',
        'method = ["thinking", "no_thinking"]\nbudget = 16\n[method_options.no_thinking]\nby = "template"\n',
    ],
    ids=["effort", "switch"],
)
def test_a_control_that_the_template_never_sees_is_found_by_equal_prompts(
    config: str, plain: tuple[str, Server], problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model is named, not given: what its template does is known to the server alone."""
    engine, server = plain
    ran(tmp_path / "run", Path("tiny"), problems, config, *attached(server, engine), "--problems=2")
    report = report_of(tmp_path / "run", capsys)
    (found,) = [row for row in report["doubts"] if row["code"] == "control_ignored"]
    assert "the server renders the same prompt for them" in found["message"]


@pytest.mark.parametrize(
    "config",
    ['effort = ["low", "high"]\nbudget = 16\n', 'method = "thinking"\nbudget = 16\n'],
    ids=["effort", "switch"],
)
def test_a_control_that_the_template_at_hand_does_not_use_is_refused_before_anything_is_sent(
    config: str, plain: tuple[str, Server], tiny_model: Path, problems: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    engine, server = plain
    assert ran(tmp_path / "run", tiny_model, problems, config, *attached(server, engine)) == 2
    assert "chat template" in capsys.readouterr().err


def test_a_budget_on_a_server_without_its_flags_ends_the_setting_by_the_engines_refusal(
    plain: tuple[str, Server], model: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model's files tell that budgets could be kept; they lie under the name that the server has."""
    engine, server = plain
    run, here = tmp_path / "run", tmp_path / "tiny"
    here.symlink_to(model)
    config = 'method = "thinking_budget"\nbudget = 5\n'
    assert ran(run, here, problems, config, *attached(server, engine)) == 1
    field = {"vllm": "thinking_token_budget", "sglang": "custom_logit_processor"}[engine]
    assert f"the control {field} is refused" in capsys.readouterr().err
    assert not measured(run, "thinking_budget")


@pytest.mark.slow
def test_sglang_with_overlap_scheduling_overshoots_and_every_row_says_so(
    model: Path,
    problems: Path,
    engine_plan: Callable[[Setting], ServerPlan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = ("--enable-custom-logit-processor", "--reasoning-parser", "qwen3")
    setting = Setting(backend="sglang", model=str(model), max_model_len=1024, engine_args=flags)
    config = 'method = "thinking_budget"\nbudget = [20]\n[method_options.thinking_budget]\nanswer_tokens = 32\n'
    with running(engine_plan(setting)) as server:
        monkeypatch.setenv(KEY, server.endpoint.api_key or "")
        ran(tmp_path / "run", model, problems, config, *attached(server, "sglang"))
    rows = measured(tmp_path / "run", "thinking_budget")
    assert rows
    assert all({"thinking_over_budget", "thinking_reopened"} & set(row.doubts) for row in rows)
