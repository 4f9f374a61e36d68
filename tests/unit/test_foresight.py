"""What ``plan`` says a design can find, and how many comparisons it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.standin import model_directory
from tts_compare.analysis.statistics.detectable import Assumptions, Measured, smallest_drop, smallest_ratio
from tts_compare.cli import main
from tts_compare.config import load_experiment
from tts_compare.plan.foresight import comparisons_of, foresee, foresight_lines
from tts_compare.plan.prepare import Prepared, prepare


def prepared(home: Path, **given: Any) -> Prepared:
    stated = {"backend": "vllm", "model": str(model_directory(home)), "dataset": "quickstart", "budget": "8,16"}
    return prepare(load_experiment(None, stated | given, environ={}), fetch=False)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, 0),
        ({"spec": "none,ngram"}, 1),
        ({"spec": "none,ngram", "concurrency": "1,8"}, 2),
        ({"backend": "vllm,sglang"}, 1),
        ({"replica": ["a", "b"]}, 3),
        ({"replica": ["a"], "spec": "none,ngram"}, 2),
        ({"method": "truncate,no_thinking", "prompt": "math"}, 1),
    ],
)
def test_the_comparisons_of_the_busiest_axis_are_counted(given: dict[str, Any], count: int, tmp_path: Path) -> None:
    made = prepared(tmp_path, **given)
    assert comparisons_of(made) == count
    assert (foresee(made) is None) == (count == 0)


def test_a_plan_of_one_start_says_that_it_finds_no_ratio_and_what_to_give(tmp_path: Path) -> None:
    lines = "\n".join(foresight_lines(foresee(prepared(tmp_path, spec="none,ngram"))))
    assert "nothing: 1 server start a setting" in lines
    assert "--rounds 3" in lines
    assert "pp where 3%" in lines


def test_a_plan_prints_its_power_with_its_assumptions_in_words_and_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_directory(tmp_path)
    argv = ["plan", f"--model={model}", "--backend=vllm", "--spec=none,ngram", "--dataset=quickstart", "--budget=8"]
    argv += ["--rounds=4", "--repeats=2"]
    assert main([*argv, "--format=json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["rounds"], plan["repeats"], plan["total"]["starts"]) == (4, 2, 2 * 4 * 2)
    assert plan["total"]["requests"] == 2 * 2 * 49
    design = Measured(problems=49, rounds=4, repeats=2, comparisons=1)
    told = {row["length_correlation"]: row["ratio"] for row in plan["power"]["smallest_ratio"]}
    assert told[1.0] == smallest_ratio(design, Assumptions())
    drops = {row["discordant_share"]: row["drop"] for row in plan["power"]["smallest_accuracy_drop"]}
    assert drops[0.03] == smallest_drop(design, Assumptions(discordant=0.03))
    assert plan["power"]["assumptions"] == {"request_noise": 0.05, "start_noise": 0.03, "length_sigma": 1.2}
    assert plan["power"]["design"]["starts"] == 8
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert f"{told[1.0]:.3g}x where texts are equal" in said
    assert "assuming 5% noise a request, 3% between server starts" in said
    assert "rounds     4, 12 problems or one more in each" in said
