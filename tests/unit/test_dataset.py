"""Data sets: what is read, what is refused, and how a sample is taken."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.dataset import load_problems, stratified_sample
from tts_compare.domain import Problem
from tts_compare.errors import UsageError

ROWS: list[dict[str, Any]] = [
    {"problem": "1 + 1?", "answer": "2", "subject": "Prealgebra", "level": 1, "unique_id": "a"},
    {"problem": "2 + 2?", "answer": "4", "subject": "Prealgebra", "level": 2, "unique_id": "b"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_jsonl_and_parquet_of_the_same_rows_give_the_same_problems(tmp_path: Path) -> None:
    jsonl = write(tmp_path / "p.jsonl", ROWS)
    polars.DataFrame(ROWS).write_parquet(tmp_path / "p.parquet")
    assert load_problems(jsonl).problems == load_problems(tmp_path / "p.parquet").problems
    assert load_problems(jsonl).problems[1] == Problem(
        id="b", problem="2 + 2?", answer="4", subject="Prealgebra", level=2
    )


def test_sha256_is_that_of_the_file_also_when_a_sample_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", ROWS)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_problems(path).sha256 == load_problems(path, n=1).sha256 == expected


def test_question_and_id_are_read_and_a_missing_id_is_the_line(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"question": "1?", "answer": 1, "id": 7}, {"question": "2?", "answer": "2"}]
    problems = load_problems(write(tmp_path / "q.jsonl", rows)).problems
    assert [(p.id, p.problem, p.answer) for p in problems] == [("7", "1?", "1"), ("2", "2?", "2")]


def test_a_column_of_figures_with_gaps_gives_levels_and_none(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(
        '{"problem": "x", "answer": 1.5, "level": 3.0}\n{"problem": "y", "answer": 2, "level": NaN}\n', encoding="utf-8"
    )
    problems = load_problems(path).problems
    assert [(p.answer, p.level) for p in problems] == [("1.5", 3), ("2", None)]


def test_decimals_of_a_parquet_file_are_answers(tmp_path: Path) -> None:
    polars.DataFrame({"question": ["x"], "answer": [Decimal("1.50")]}).write_parquet(tmp_path / "d.parquet")
    assert load_problems(tmp_path / "d.parquet").problems[0].answer == "1.50"


def test_gsm8k_answers_are_what_follows_the_hashes(tmp_path: Path) -> None:
    path = write(tmp_path / "g.jsonl", [{"question": "?", "answer": "2*617 = 1234\n#### 1,234"}])
    (problem,) = load_problems(path, answer_kind="gsm8k").problems
    assert (problem.answer, problem.kind) == ("1234", "gsm8k")


def test_the_kind_is_never_guessed_from_the_answer(tmp_path: Path) -> None:
    path = write(tmp_path / "g.jsonl", [{"question": "?", "answer": "words #### 5"}])
    assert load_problems(path).problems[0].answer == "words #### 5"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"problem": "x", "answer": "1"}\n{"problem": "y"}\n', "line 2: no answer"),
        ('{"problem": "x", "answer": "1"}\n\n{"problem": "y", "answer": " "}\n', "line 3: no answer"),
        ('{"problem": "x", "answer": null}\n', "line 1: no answer"),
        ('{"problem": "x", "answer": NaN}\n', "line 1: no answer"),
        ('{"problem": "x", "answer": "1", "level": 3.5}\n', "line 1: level 3.5 is not a number"),
        ('{"answer": "1"}\n', "line 1: no problem"),
        ('{"problem": "x", "answer": "1"}\nnot json\n', "line 2: not JSON"),
        ("[1, 2]\n", "line 1: a JSON object is expected"),
        (
            '{"problem": "x", "answer": "1", "id": 1}\n{"problem": "y", "answer": "1", "id": "1"}\n',
            "line 2: id '1' was on",
        ),
        ('{"problem": "x", "answer": "1", "level": "hard"}\n', "line 1: level 'hard' is not a number"),
        ("\n\n", "no problems in it"),
        ("\xff\xfe", "line 1: not JSON"),
    ],
)
def test_a_row_that_cannot_be_used_is_one_line_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as caught:
        load_problems(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("maht500", "unknown data set 'maht500': give math500 or quickstart"),
        ("nowhere.jsonl", "cannot read the data set nowhere.jsonl: No such file"),
        (".", "cannot read the data set .: Is a directory"),
    ],
)
def test_a_data_set_that_is_not_there_is_one_line(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_problems(name)


def test_a_broken_parquet_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(UsageError, match=r"p\.parquet as Parquet") as caught:
        load_problems(tmp_path / "p.parquet")
    assert "\n" not in str(caught.value)


def test_math500_off_line_says_what_to_do_and_takes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets  # type: ignore[import-untyped]

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the Hub\nsecond line")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(UsageError, match=r"could not be fetched \(Couldn't reach the Hub\).*--dataset") as caught:
        load_problems("math500")
    assert "\n" not in str(caught.value)


def test_math500_is_the_test_split_of_the_hub_and_is_looked_for_in_the_cache_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets
    from huggingface_hub import constants

    asked: list[tuple[str, str, bool]] = []

    def load_dataset(name: str, *, split: str) -> list[dict[str, Any]]:
        asked.append((name, split, constants.HF_HUB_OFFLINE))
        if constants.HF_HUB_OFFLINE:
            raise ConnectionError("not in the cache")
        return ROWS

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert [p.id for p in load_problems("math500").problems] == ["a", "b"]
    assert asked == [("HuggingFaceH4/MATH-500", "test", True), ("HuggingFaceH4/MATH-500", "test", False)]
    asked.clear()
    with pytest.raises(UsageError, match="not in the cache"):
        load_problems("math500", fetch=False)
    assert [offline for *_, offline in asked] == [True]


def test_a_local_math500_has_five_hundred_problems_in_known_levels(shared_data: Path) -> None:
    problems = load_problems(shared_data / "math500.jsonl").problems
    assert Counter(p.level for p in problems) == {1: 43, 2: 90, 3: 105, 4: 128, 5: 134}


def problems_of(levels: list[int | None]) -> tuple[Problem, ...]:
    return tuple(Problem(id=str(i), problem="?", answer="0", level=level) for i, level in enumerate(levels))


LEVELS = st.lists(st.sampled_from([1, 2, 3, 4, 5, None]), min_size=1, max_size=60)


@given(levels=LEVELS, data=st.data(), seed=st.integers(0, 3))
def test_a_sample_has_its_size_its_order_and_each_level_in_proportion(
    levels: list[int | None], data: st.DataObject, seed: int
) -> None:
    problems = problems_of(levels)
    n = data.draw(st.integers(1, len(problems)))
    sample = stratified_sample(problems, n, seed=seed)
    assert len(sample) == n
    assert sample == tuple(p for p in problems if p in sample)
    sizes, taken = Counter(levels), Counter(p.level for p in sample)
    assert all(abs(taken[level] - n * size / len(problems)) < 1 for level, size in sizes.items())
    assert sample == stratified_sample(problems, n, seed=seed)


def test_another_seed_takes_other_problems() -> None:
    problems = problems_of([1] * 100)
    assert stratified_sample(problems, 10, seed=0) != stratified_sample(problems, 10, seed=1)


@pytest.mark.parametrize("n", [0, -1, 3])
def test_a_sample_that_cannot_be_taken_is_refused(tmp_path: Path, n: int) -> None:
    with pytest.raises(UsageError, match="give 1 to 2"):
        load_problems(write(tmp_path / "p.jsonl", ROWS), n=n)
