"""best_of_n scored by a reward model over HTTP: what is picked, kept, not asked again, and told when it fails."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.integration.running import Bench, bench, grades_of, rows_of, start, wait_until
from tests.integration.stub_reward import MODEL, Reward, serving
from tts_compare.cli import main
from tts_compare.domain import Grade, RequestRecord, RowKey
from tts_compare.rundir import store
from tts_compare.rundir.scores import Score

SAMPLES, PROBLEMS = 4, 3
ALL = SAMPLES * PROBLEMS
KEY = "planted-0123456789-abcdef"


def by_text(_problem: str, response: str) -> float:
    """A reward in (0, 1) that differs from text to text and knows nothing of right and wrong."""
    return sum(ord(letter) * (at % 97 + 1) for at, letter in enumerate(response)) % 9973 / 9974


def config(home: Path, **options: object) -> str:
    """The flag of a configuration with these options of best_of_n."""
    path = home / "method.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    path.write_text("\n".join(["[method_options.best_of_n]", *lines, ""]))
    return f"--config={path}"


def argv(table: Bench, *flags: str) -> list[str]:
    work = ("--method=best_of_n", f"--samples={SAMPLES}", "--temperature=0.8", f"--problems={PROBLEMS}")
    return table.argv("run", "--backend=vllm", *work, "--budget=32", *flags)


def scores_of(run: Path) -> list[Score]:
    return list(store.read_rows(run / "scores.jsonl", Score))


def choices(run: Path) -> dict[str, Grade]:
    """The choice among all samples, by problem."""
    return {grade.problem: grade for grade in grades_of(run) if grade.samples == SAMPLES}


def measured(run: Path) -> dict[RowKey, RequestRecord]:
    return {row.key: row for row in rows_of(run) if row.phase == "measured"}


def audit_warnings(run: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    capsys.readouterr()
    assert main(["report", str(run), "--format=json"]) == 0
    return {warning["code"]: warning["message"] for warning in json.loads(capsys.readouterr().out)["doubts"]}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reward]:
    """A run whose responses were all scored; the reward model is gone."""
    table = bench(tmp_path_factory.mktemp("scored"), correct_rate=0.5)
    with serving(Reward(rewarding=by_text, delay_s=0.02)) as reward:
        assert main(argv(table, config(table.home, scores=reward.url), "--quiet")) == 0
    return table.home / "run", reward


@pytest.fixture
def copy(scored: tuple[Path, Reward], tmp_path: Path) -> Path:
    """The same run, to be changed; its directory as it was measured, without a score."""
    run = tmp_path / "run"
    shutil.copytree(scored[0], run)
    (run / "scores.jsonl").unlink()
    return run


def test_every_response_is_asked_about_once_with_its_problem_and_has_a_row(scored: tuple[Path, Reward]) -> None:
    run, reward = scored
    rows, records = scores_of(run), measured(run)
    problems = {
        row["id"]: row["problem"] for row in json.loads((run / "manifest.json").read_text())["dataset"]["problems"]
    }
    assert Counter(row.key for row in rows) == Counter(list(records))
    assert len(rows) == ALL
    assert Counter(reward.asked) == Counter((problems[key.problem], row.text) for key, row in records.items())
    assert set(reward.paths) == {"/pooling"}
    assert 1 < reward.most_at_once <= 8
    for row in rows:
        assert row.score == by_text("", records[row.key].text)
        assert (row.by.model, row.prompt_tokens, row.error) == (MODEL, 7, None)
        assert 0.02 <= (row.end_unix_ns - row.sent_unix_ns) * 1e-9 < 20


def test_the_best_scored_response_is_the_answer(scored: tuple[Path, Reward]) -> None:
    run, _ = scored
    scores = {(row.problem, row.sample): row.score or 0.0 for row in scores_of(run)}
    single = {(grade.problem, grade.sample): grade for grade in grades_of(run) if grade.sample is not None}
    for problem, choice in choices(run).items():
        best = max(range(SAMPLES), key=lambda sample: scores[problem, sample])
        assert (choice.status, choice.answer) == (single[problem, best].status, single[problem, best].answer)
    assert len(choices(run)) == PROBLEMS
    right = sum(choice.status == "correct" for choice in choices(run).values())
    (point,) = (row for row in json.loads((run / "points.json").read_text()) if row["samples"] == SAMPLES)
    assert point["accuracy"] == pytest.approx(right / PROBLEMS)


def test_weighted_takes_the_answer_with_the_greatest_sum(scored: tuple[Path, Reward], tmp_path: Path) -> None:
    table = bench(tmp_path, correct_rate=0.5)
    with serving(Reward(rewarding=by_text)) as reward:
        assert main(argv(table, config(table.home, scores=reward.url, weighted=True), "--quiet")) == 0
    run = table.home / "run"
    scores = {(row.problem, row.sample): row.score or 0.0 for row in scores_of(run)}
    sums: dict[str, Counter[str | None]] = {}
    for grade in grades_of(run):
        if grade.sample is not None and grade.answer is not None:
            sums.setdefault(grade.problem, Counter())[grade.answer] += scores[grade.problem, grade.sample]  # type: ignore[assignment]
    assert {problem: choice.answer for problem, choice in choices(run).items()} == {
        problem: max(mine, key=lambda answer: mine[answer]) for problem, mine in sums.items()
    }


def test_grading_and_reporting_again_ask_nobody_and_change_nothing(
    scored: tuple[Path, Reward], capsys: pytest.CaptureFixture[str]
) -> None:
    run, reward = scored
    names = ("records.jsonl", "scores.jsonl", "grades.jsonl", "points.json")
    before, asked = [(run / name).read_bytes() for name in names], len(reward.asked)
    assert main(["grade", str(run)]) == 0
    assert main(["grade", str(run), "--scores", reward.url]) == 0, "all is scored: nobody is asked"
    assert [(run / name).read_bytes() for name in names] == before
    assert len(reward.asked) == asked
    assert "have no score" not in capsys.readouterr().err


def test_the_report_tells_what_scoring_took_apart_from_the_method(
    scored: tuple[Path, Reward], capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = scored
    told = audit_warnings(run, capsys)
    assert told["scoring_apart"].startswith(f"scoring {ALL} responses by {MODEL} took ")
    assert not told.keys() & {"unscored", "scoring_untimed", "scores_saturated"}
    points = json.loads((run / "points.json").read_text())
    assert all("scoring_apart" in point["doubts"] for point in points)
    sent: dict[str, int] = {}
    ended: dict[str, int] = {}
    for row in measured(run).values():
        assert row.sent_ns
        assert row.last_token_ns
        sent[row.problem] = min(sent.get(row.problem, row.sent_ns), row.sent_ns)
        ended[row.problem] = max(ended.get(row.problem, 0), row.last_token_ns)
    waited = sum(ended[problem] - sent[problem] for problem in sent) * 1e-9
    (point,) = (row for row in points if row["samples"] == SAMPLES)
    assert point["latency_mean_s"] == pytest.approx(waited / PROBLEMS), "none of it is in the latency"


def test_a_run_that_was_not_scored_is_graded_without_asking_and_says_how_to_ask(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Reward(rewarding=by_text)) as reward:
        manifest = json.loads((copy / "manifest.json").read_text())
        for item in manifest["experiment"]["work"]:
            item["options"] = [[name, reward.url if name == "scores" else value] for name, value in item["options"]]
        (copy / "manifest.json").write_text(json.dumps(manifest))
        assert main(["grade", str(copy)]) == 0
        assert reward.asked == []
    said = capsys.readouterr().err
    assert f"{ALL} responses have no score; to ask the reward model: tts-compare grade {copy} --scores " in said
    assert {choice.status for choice in choices(copy).values()} == {"ungraded"}
    assert audit_warnings(copy, capsys)["unscored"].startswith(f"{ALL} of {ALL} responses have no score")
    points = json.loads((copy / "points.json").read_text())
    assert [(point["samples"], point["ungraded"]) for point in points] == [(m, PROBLEMS) for m in (1, 2, 4)]
    assert all(point["latency_mean_s"] > 0 for point in points)


def test_only_what_is_missing_is_asked_for_and_the_grades_are_those_of_a_run_scored_at_once(
    scored: tuple[Path, Reward], copy: Path
) -> None:
    kept = (scored[0] / "scores.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "scores.jsonl").write_bytes(b"".join(kept[:5]) + kept[5][:40])
    with serving(Reward(rewarding=by_text)) as reward:
        assert main(["grade", str(copy), "--scores", reward.url]) == 0
    assert len(reward.asked) == ALL - 5, "a row torn by a kill is no score"
    assert Counter(row.key for row in scores_of(copy)) == Counter(list(measured(copy)))
    assert grades_of(copy) == grades_of(scored[0])


def test_a_reward_model_that_dies_in_the_middle_costs_what_was_in_flight_and_a_line_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = bench(tmp_path, correct_rate=0.5)
    run = table.home / "run"
    with serving(Reward(rewarding=by_text, dies_after=5)) as dying:
        flag = config(table.home, scores=dying.url, scores_concurrency=2)
        assert main(argv(table, flag)) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "nothing answers" in line]
    assert line.startswith(f"scores: nothing answers at {dying.url} (")
    assert line.endswith(f"go on with: tts-compare run --resume {run}")
    assert len(measured(run)) == ALL
    assert [row.score is not None for row in scores_of(run)] == [True] * 5
    assert json.loads((run / "manifest.json").read_text())["state"] == "stopped"
    before = (run / "records.jsonl").read_bytes()
    with serving(Reward(rewarding=by_text)) as reward:
        assert main(["run", f"--resume={run}", config(table.home, scores=reward.url, scores_concurrency=2)]) == 0
    assert len(reward.asked) == ALL - 5
    assert (run / "records.jsonl").read_bytes() == before
    assert {choice.status for choice in choices(run).values()} <= {"correct", "incorrect"}
    assert json.loads((run / "manifest.json").read_text())["state"] == "done"


def test_a_run_killed_while_it_is_scored_loses_no_score_that_it_had(tmp_path: Path) -> None:
    table = bench(tmp_path, correct_rate=0.5)
    run = table.home / "run"
    with serving(Reward(rewarding=by_text, delay_s=0.4)) as reward:
        process = start(argv(table, config(table.home, scores=reward.url, scores_concurrency=1)))
        assert wait_until(lambda: (run / "scores.jsonl").exists() and len(scores_of(run)) >= 3, 60)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        process.communicate()
        kept = scores_of(run)
        assert len(reward.asked) - len(kept) <= 1
        reward.delay_s, asked = 0.0, len(reward.asked)
        assert main(["grade", str(run), "--scores", reward.url]) == 0
        assert len(reward.asked) - asked == ALL - len(kept)
    assert scores_of(run)[: len(kept)] == kept
    assert len(choices(run)) == PROBLEMS


@pytest.mark.parametrize("how", ["run", "grade"])
def test_a_response_that_cannot_be_scored_is_left_out_with_its_reason_and_a_warning(
    how: str, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longest = max((row.text for row in measured(copy).values()), key=len)
    with serving(Reward(rewarding=by_text, refuses=lambda response: response == longest)) as reward:
        if how == "grade":
            assert main(["grade", str(copy), "--scores", reward.url]) == 0
            run = copy
        else:
            table = bench(tmp_path / "again", correct_rate=0.5)
            assert main(argv(table, config(table.home, scores=reward.url), "--quiet")) == 0
            run = table.home / "run"
    failed = [row for row in scores_of(run) if row.score is None]
    assert failed
    assert all(row.error and row.error.kind == "http_4xx" and "maximum context" in row.error.message for row in failed)
    touched = {row.problem for row in failed}
    assert {problem for problem, choice in choices(run).items() if choice.status == "ungraded"} == touched
    of_one = [grade for grade in grades_of(run) if grade.samples == 1]
    assert all(grade.status != "ungraded" and grade.score is not None for grade in of_one)
    assert audit_warnings(run, capsys)["unscored"].startswith(f"{len(failed)} of {ALL} responses have no score")


@pytest.mark.parametrize(
    ("api", "engine", "path"),
    [
        ("classify", "vllm", "/classify"),
        ("score", "vllm", "/score"),
        ("auto", "sglang", "/classify"),
    ],
)
def test_every_form_gives_the_same_choice(
    api: str, engine: str, path: str, scored: tuple[Path, Reward], copy: Path, tmp_path: Path
) -> None:
    template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}!{% endif %}"
    )
    model = tmp_path / "reward-model"
    model.mkdir()
    (model / "chat_template.jinja").write_text(template)
    manifest = json.loads((copy / "manifest.json").read_text())
    for item in manifest["experiment"]["work"]:
        item["options"] = [*dict(item["options"], scores_api=api, scores_model=str(model)).items()]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with serving(Reward(rewarding=by_text, engine=engine)) as reward:
        assert main(["grade", str(copy), "--scores", reward.url]) == 0
    assert set(reward.paths) == {path}
    assert Counter(reward.asked) == Counter(scored[1].asked)
    assert {row.by.api for row in scores_of(copy)} == {engine if api == "auto" else api}
    assert grades_of(copy) == grades_of(scored[0])


def test_scores_of_two_reward_models_are_not_mixed(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored = [row.text for row in measured(copy).values()][:3]  # several samples may have one text
    with serving(Reward(rewarding=by_text, refuses=lambda response: response not in scored)) as reward:
        assert main(["grade", str(copy), "--scores", reward.url]) == 0
    manifest = json.loads((copy / "manifest.json").read_text())
    for item in manifest["experiment"]["work"]:
        item["options"] = [*dict(item["options"], scores_reduce="min").items()]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with serving(Reward(rewarding=by_text)) as reward:
        assert main(["grade", str(copy), "--scores", reward.url]) == 1
        assert reward.asked == []
    said = capsys.readouterr().err
    assert f"holds scores of {MODEL} (pooling, last), and these would be of {MODEL} (pooling, min)" in said


def test_the_scores_of_a_run_can_come_from_a_file_afterwards(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copy.parent / "mine.jsonl"
    keys = [(row.problem, row.sample) for row in measured(copy).values()]
    lines = [json.dumps({"problem": problem, "sample": sample, "score": -sample}) for problem, sample in keys]
    file.write_text("\n".join(lines))
    assert main(["grade", str(copy), "--scores", str(file)]) == 0
    first = {grade.problem: grade.answer for grade in grades_of(copy) if grade.sample == 0}
    assert {problem: choice.answer for problem, choice in choices(copy).items()} == first
    assert "not known" in audit_warnings(copy, capsys)["scoring_untimed"]


def test_scores_are_for_a_run_with_best_of_n(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = bench(tmp_path)
    assert main(table.argv("run", "--backend=vllm", "--problems=2", "--budget=8", "--quiet")) == 0
    assert main(["grade", str(table.home / "run"), "--scores", "http://127.0.0.1:9"]) == 2
    assert "--scores is for a run with best_of_n" in capsys.readouterr().err


def test_a_plan_asks_no_reward_model_and_needs_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("REWARD_KEY", raising=False)
    table = bench(tmp_path)
    with serving(Reward(rewarding=by_text)) as reward:
        flag = config(table.home, scores=reward.url, scores_api_key_env="REWARD_KEY")
        line = [word for word in argv(table, flag) if not word.startswith("--out=")]
        assert main(["plan", *line]) == 0
        assert reward.requests == 0
    assert "best_of_n, budget 32" in capsys.readouterr().out


def test_a_key_whose_variable_is_not_set_is_told_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("REWARD_KEY", raising=False)
    table = bench(tmp_path)
    flag = config(table.home, scores="http://127.0.0.1:9", scores_api_key_env="REWARD_KEY")
    assert main(argv(table, flag)) == 2
    assert "scores_api_key_env: the variable REWARD_KEY is not set" in capsys.readouterr().err
    assert not (table.home / "run").exists()


def spread(secret: str) -> tuple[str, ...]:
    """A secret as it is, and as base64 wherever it may begin in a group of three bytes."""
    padded = [base64.b64encode(b"x" * shift + secret.encode()).decode() for shift in range(3)]
    return (secret, *(text[4:-4] for text in padded))


def test_a_planted_key_is_in_no_file_no_output_no_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REWARD_KEY", KEY)
    table = bench(tmp_path / "bench", correct_rate=0.5)
    run, seen = table.home / "run", list[str]()
    refuses: Callable[[str], bool] = lambda response: len(response) % 2 == 0  # noqa: E731
    with serving(Reward(rewarding=by_text, key=KEY, refuses=refuses)) as reward:
        flag = config(table.home, scores=reward.url, scores_api_key_env="REWARD_KEY")
        assert main(argv(table, flag)) == 0
        for process in psutil.process_iter():
            try:
                seen += process.cmdline() if process.pid != os.getpid() else []
            except psutil.Error:
                continue
        assert main(["grade", str(run), "--scores", reward.url]) == 1
        assert main(["grade", str(run), "--scores", reward.url, "--scores-api-key-env=REWARD_KEY"]) == 0
        assert main(["grade", str(run), "--scores", f"http://me:{KEY}@127.0.0.1:9"]) == 2
    for form in ("html", "markdown", "json", "csv"):
        assert main(["report", str(run), f"--format={form}", f"--output={tmp_path / form}"]) == 0
    said = capfd.readouterr()
    assert "the key is missing" in said.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert run / "scores.jsonl" in files
    assert any("key ***" in path.read_text() for path in files if path.name == "scores.jsonl"), "it was repeated to us"
    texts = [said.out, said.err, *seen, *(path.read_bytes().decode("utf-8", "replace") for path in files)]
    assert not [text[:200] for text in texts for form in spread(KEY) if form in text]
    assert run.stat().st_mode & 0o777 == 0o700
    assert {oct(path.stat().st_mode & 0o777) for path in run.rglob("*") if path.is_file()} == {"0o600"}
