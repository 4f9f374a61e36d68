"""Real vLLM and SGLang as reward models: what they answer in each documented form is what is kept and chosen by."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import numpy as np
import pytest

from tests.engines.conftest import MAX_MODEL_LEN, running
from tests.integration.running import bench, grades_of, rows_of
from tests.integration.stub_reward import Reward, serving
from tts_compare.cli import main
from tts_compare.domain import RequestRecord, RowKey, Setting
from tts_compare.installer import safetensors
from tts_compare.launchers import Server, ServerPlan
from tts_compare.rundir import store
from tts_compare.rundir.scores import Score

KEY = "TTS_COMPARE_TEST_KEY"
SAMPLES, PROBLEMS = 4, 2
Plan = Callable[[Setting], ServerPlan]


def reward_directory(tiny: Path, directory: Path, *, labels: int) -> Path:
    """The tiny model with a random head of so many labels, as a sequence classifier."""
    shutil.copytree(tiny, directory)
    config = json.loads((directory / "config.json").read_text())
    hidden = config["hidden_size"]
    told = {"architectures": ["Qwen2ForSequenceClassification"], "num_labels": labels}
    (directory / "config.json").write_text(json.dumps(config | told))
    head = np.random.default_rng(labels).normal(size=(labels, hidden)).astype(np.float32)
    safetensors.write(directory / "head.safetensors", {"score.weight": head.shape}, [("score.weight", head)])
    return directory


@pytest.fixture(scope="module")
def one_label(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reward_directory(tiny_model, tmp_path_factory.mktemp("models") / "reward-1", labels=1)


@pytest.fixture(scope="module")
def two_labels(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reward_directory(tiny_model, tmp_path_factory.mktemp("models") / "reward-2", labels=2)


@contextmanager
def reward_model(plan: Plan, model: Path, engine: str, *flags: str, on_gpu: bool) -> Iterator[Server]:
    """A running server of a reward model."""
    setting = Setting(
        backend=engine,
        model=str(model),
        device="cuda" if on_gpu else "cpu",
        max_model_len=MAX_MODEL_LEN,
        engine_args=flags,
    )
    with running(plan(setting)) as server:
        yield server


@pytest.fixture(scope="module")
def sequence_model(one_label: Path, engine_plan: Plan, on_gpu: bool) -> Iterator[Server]:
    """vLLM with one reward for a sequence."""
    with reward_model(engine_plan, one_label, "vllm", on_gpu=on_gpu) as server:
        yield server


@pytest.fixture(scope="module")
def token_model(two_labels: Path, engine_plan: Plan, on_gpu: bool) -> Iterator[Server]:
    """vLLM with two classes for every token."""
    flags = ("--pooler-config", '{"task": "token_classify"}')
    with reward_model(engine_plan, two_labels, "vllm", *flags, on_gpu=on_gpu) as server:
        yield server


@pytest.fixture(scope="module")
def sglang_model(one_label: Path, engine_plan: Plan, on_gpu: bool) -> Iterator[Server]:
    """SGLang with one reward for a sequence."""
    with reward_model(engine_plan, one_label, "sglang", "--is-embedding", on_gpu=on_gpu) as server:
        yield server


@pytest.fixture
def responses(tmp_path: Path) -> Path:
    """A run of best_of_n with responses and without a score."""
    table = bench(tmp_path, correct_rate=0.5)
    with serving(Reward(rewarding=lambda _problem, _response: 0.5)) as stub:
        (tmp_path / "method.toml").write_text(f'[method_options.best_of_n]\nscores = "{stub.url}"\n')
        work = ("--method=best_of_n", f"--samples={SAMPLES}", "--temperature=0.8", f"--problems={PROBLEMS}")
        flags = (*work, "--budget=32", f"--config={tmp_path / 'method.toml'}", "--quiet")
        assert main(table.argv("run", "--backend=vllm", *flags)) == 0
    (table.home / "run" / "scores.jsonl").unlink()
    return table.home / "run"


def scored(run: Path, server: Server, monkeypatch: pytest.MonkeyPatch, **options: object) -> list[Score]:
    """Score the run anew, with these options of best_of_n."""
    monkeypatch.setenv(KEY, server.endpoint.api_key or "none")
    manifest = json.loads((run / "manifest.json").read_text())
    for item in manifest["experiment"]["work"]:
        item["options"] = [*(dict(item["options"]) | options).items()]
    (run / "manifest.json").write_text(json.dumps(manifest))
    (run / "scores.jsonl").unlink(missing_ok=True)
    assert main(["grade", str(run), "--scores", server.endpoint.base_url, f"--scores-api-key-env={KEY}"]) == 0
    rows = list(store.read_rows(run / "scores.jsonl", Score))
    assert len(rows) == SAMPLES * PROBLEMS
    assert all(row.error is None and row.score is not None and row.end_unix_ns > row.sent_unix_ns for row in rows)
    return rows


def asked_directly(run: Path, server: Server, path: str, **more: object) -> dict[RowKey, Any]:
    """What the server says when it is asked about each response by hand."""
    problems = {
        row["id"]: row["problem"] for row in json.loads((run / "manifest.json").read_text())["dataset"]["problems"]
    }
    root, said = server.endpoint.base_url.removesuffix("/v1"), {}
    for row in measured(run):
        messages = [{"role": "user", "content": problems[row.problem]}, {"role": "assistant", "content": row.text}]
        body = {"model": server.endpoint.model, "messages": messages, **more}
        said[row.key] = httpx.post(root + path, json=body, timeout=60).raise_for_status().json()
    return said


def measured(run: Path) -> list[RequestRecord]:
    return [row for row in rows_of(run) if row.phase == "measured"]


def check_choice(run: Path, rows: list[Score]) -> None:
    """The chosen answer of each problem is that of its best scored sample."""
    best: dict[str, Score] = {}
    for row in sorted(rows, key=lambda row: row.sample):
        if row.problem not in best or (row.score or 0.0) > (best[row.problem].score or 0.0):
            best[row.problem] = row
    grades = grades_of(run)
    answers = {(grade.problem, grade.sample): grade.answer for grade in grades if grade.sample is not None}
    chosen = {grade.problem: grade.answer for grade in grades if grade.samples == SAMPLES}
    assert chosen == {problem: answers[problem, row.sample] for problem, row in best.items()}


def test_vllm_scores_a_sequence_the_same_by_pooling_and_by_classify(
    responses: Path, sequence_model: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = scored(responses, sequence_model, monkeypatch, scores_activation=False)
    assert {(row.by.api, row.by.model) for row in rows} == {("pooling", sequence_model.endpoint.model)}
    direct = asked_directly(responses, sequence_model, "/pooling", use_activation=False)
    assert {row.key: row.score for row in rows} == pytest.approx(
        {key: answer["data"][0]["data"][0] for key, answer in direct.items()}, rel=1e-3
    )
    assert {row.key: row.prompt_tokens for row in rows} == {
        key: answer["usage"]["prompt_tokens"] for key, answer in direct.items()
    }
    assert len({row.score for row in rows}) > 1
    check_choice(responses, rows)
    classified = scored(responses, sequence_model, monkeypatch, scores_api="classify")
    assert {row.key: row.score for row in classified} == {row.key: row.score for row in rows}
    activated = scored(responses, sequence_model, monkeypatch, scores_activation=True)
    assert all(0 < (row.score or 0) < 1 for row in activated), "a sigmoid"


def test_vllm_scores_a_pair(responses: Path, sequence_model: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = scored(responses, sequence_model, monkeypatch, scores_api="score")
    assert {row.by.api for row in rows} == {"score"}
    assert len({row.score for row in rows}) > 1
    check_choice(responses, rows)


def test_a_response_too_long_for_vllm_is_left_out_with_what_it_says(
    responses: Path, sequence_model: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.loads(line) for line in (responses / "records.jsonl").read_text().splitlines()]
    long = next(line for line in lines if line["phase"] == "measured")
    long["text"] += " and so on" * MAX_MODEL_LEN
    (responses / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setenv(KEY, sequence_model.endpoint.api_key or "none")
    flags = ["--scores", sequence_model.endpoint.base_url, f"--scores-api-key-env={KEY}"]
    assert main(["grade", str(responses), *flags]) == 0
    (failed,) = [row for row in store.read_rows(responses / "scores.jsonl", Score) if row.score is None]
    assert (failed.problem, failed.sample) == (long["problem"], long["sample"])
    assert failed.error
    assert failed.error.kind == "http_4xx"
    assert "maximum context length" in failed.error.message


@pytest.mark.many_starts
def test_vllm_scores_tokens_and_they_become_one_score_as_stated(
    responses: Path, token_model: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = asked_directly(responses, token_model, "/pooling")
    good = {key: [classes[1] for classes in answer["data"][0]["data"]] for key, answer in direct.items()}
    assert all(len(tokens) == direct[key]["usage"]["prompt_tokens"] for key, tokens in good.items())
    for reduce, one in (("last", lambda tokens: tokens[-1]), ("min", min)):
        rows = scored(responses, token_model, monkeypatch, scores_reduce=reduce)
        assert {row.key: row.score for row in rows} == pytest.approx(
            {key: one(tokens) for key, tokens in good.items()}, rel=1e-6
        )
        check_choice(responses, rows)


@pytest.mark.many_starts
def test_sglang_reads_the_same_prompt_as_vllm_and_ranks_as_it_does(
    responses: Path, sglang_model: Server, sequence_model: Server, one_label: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = scored(responses, sglang_model, monkeypatch, scores_model=str(one_label))
    assert {row.by.api for row in rows} == {"sglang"}
    assert len({row.score for row in rows}) > 1
    direct = asked_directly(responses, sequence_model, "/pooling", use_activation=False)
    assert {row.key: row.prompt_tokens for row in rows} == {
        key: answer["usage"]["prompt_tokens"] for key, answer in direct.items()
    }
    # SGLang 0.5.23 gives a Qwen2 head without a bias one drawn at its start: the same amount more for every response.
    said = centred({row.key: row.score or 0.0 for row in rows})
    expected = centred({key: answer["data"][0]["data"][0] for key, answer in direct.items()})
    assert said == pytest.approx(expected, abs=1e-3)
    assert max(expected.values()) > 0.01
    check_choice(responses, rows)


def centred(rewards: dict[RowKey, float]) -> dict[RowKey, float]:
    """Rewards less their mean."""
    mean = fmean(rewards.values())
    return {key: reward - mean for key, reward in rewards.items()}
