"""Bad input: one line that says what to do, and exit status 2, before anything starts."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.standin import engine_python, model_directory
from tts_compare.cli import main


@pytest.fixture
def base(tmp_path: Path) -> list[str]:
    """A command line that would run."""
    python = engine_python(tmp_path, "vllm")
    return [
        "--backend=vllm",
        f"--model={model_directory(tmp_path)}",
        f"--engine-python=vllm={python}",
        "--dataset=quickstart",
        "--budget=8",
        f"--out={tmp_path / 'run'}",
    ]


def rows(path: Path, *values: object) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


GOOD = {"problem": "What is 1 + 1?", "answer": "2", "unique_id": "a"}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--backend=vlm"], "unknown backend 'vlm'; did you mean 'vllm'?"),
        (["--model=/no/such/model"], "there is no model at /no/such/model"),
        (["--model=org/my model"], "org/my model is no directory, and no name on the hub"),
        (["--model=./none"], "there is no model at ./none"),
        (["--dataset=/no/such/file.jsonl"], "cannot read the data set /no/such/file.jsonl"),
        (["--dataset=math5000"], "unknown data set 'math5000'"),
        (["--budget=0"], "--budget: 0 must be at least 1"),
        (["--budget=ten"], "is not a whole number"),
        (["--budget=16", "--max-model-len=20"], "--budget 16 does not fit"),
        (["--price=cheap"], "is not a price"),
        (["--price=1"], "is not a price"),
        (["--concurrency=0"], "must be at least 1"),
        (["--request-rate=-1"], "must be above 0"),
        (["--tp=4096"], "no setting is left that this machine can do"),
        (["--attach=vllm=http://127.0.0.1:9"], "nothing answers at http://127.0.0.1:9/v1"),
        (["--method=guess"], "unknown method 'guess'"),
        (["--method=vote"], "vote needs at least 2 samples"),
        (["--problems=9999"], "cannot take 9999 problems"),
        (["--spec=ngrams"], "'ngrams' is not known; did you mean 'ngram'?"),
        (["--engine-python=vllm=/no/python"], "does not run"),
        (["--backend=vllm==9.9"], "not the 9.9 asked for"),
        (["--backend=openai"], "the backend openai needs --base-url URL"),
        (["--config=no-such"], "no configuration 'no-such'"),
        (["--prompt=/no/prompt"], "no prompt '/no/prompt'"),
        (["--policy=never"], None),
        (["--nonsense"], None),
    ],
)
def test_it_is_told_in_one_line_with_exit_status_2(
    flags: list[str], told: str | None, base: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = {flag.split("=")[0] for flag in flags}
    kept = [flag for flag in base if flag.split("=")[0] not in names]
    try:
        status = main([*kept, *flags])
    except SystemExit as left:  # argparse's own refusals
        status = int(left.code or 0)
    said = capsys.readouterr()
    assert status == 2
    assert said.out == ""
    if told is not None:
        assert told in said.err
        assert said.err.startswith("tts-compare: ")
        assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"problem": "x"}, "line 2: no answer"),
        ({"answer": "2"}, "line 2: no problem"),
        (GOOD, "line 2: id 'a' was on line 1"),
        ("text", "line 2: a JSON object is expected"),
    ],
)
def test_a_data_set_names_the_line_that_cannot_be_used(
    row: object, told: str, base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = rows(tmp_path / "data.jsonl", GOOD, row)
    kept = [flag for flag in base if not flag.startswith("--dataset")]
    assert main([*kept, f"--dataset={path}"]) == 2
    assert told in capsys.readouterr().err


def test_an_unknown_key_of_a_configuration_names_its_path_and_the_nearest_right_one(
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[limits]\ntotals_s = 5\n")
    assert main([*base, f"--config={path}"]) == 2
    said = capsys.readouterr().err
    assert "limits.totals_s" in said
    assert "total_s" in said.split("limits.totals_s", 1)[1]


def test_a_directory_that_holds_something_is_not_written_into(
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    assert main(base) == 2
    assert "--resume" in capsys.readouterr().err
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_a_tensor_parallel_size_that_does_not_divide_the_heads_is_named(
    base: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_directory(tmp_path / "odd", num_attention_heads=3, num_key_value_heads=3)
    kept = [flag for flag in base if not flag.startswith("--model")]
    assert main([*kept, f"--model={model}", "--tp=2"]) == 2
    told = capsys.readouterr().err
    assert "does not divide the model's 3 attention heads" in told or "2 ranks" in told


def test_answers_and_help_are_shown_where_there_are_no_letters_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    answers = rows(tmp_path / "answers.jsonl", {"gold": "é", "response": "\\boxed{é}"})
    assert main(["grade", f"--responses={answers}"]) == 0
    assert json.loads(shown.getvalue())["answer"] == "é"
    with pytest.raises(SystemExit, match="0"):
        main(["run", "--help"])


@pytest.mark.parametrize("command", [["report"], ["grade"], ["export"], ["diff", "x"]])
def test_a_run_that_is_not_there_is_told(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, str(tmp_path / "nothing")]) == 2
    assert "is not a run directory" in capsys.readouterr().err
