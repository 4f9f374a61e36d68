"""Settings, work and the order of starts, from what was asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.analysis.findings.compare import setting_pairs
from tts_compare.backends import BACKENDS
from tts_compare.config import load_experiment
from tts_compare.domain import Problem, Setting
from tts_compare.errors import UsageError
from tts_compare.methods import PROMPTS
from tts_compare.methods.lengths import PromptTokens, longest_prompt, most_tokens
from tts_compare.plan.grid import check_prompt, expand, fit_lengths, order, work
from tts_compare.plan.manifest import setting_facts


def settings(**given: Any) -> tuple[Setting, ...]:
    return expand(load_experiment(None, {"model": "org/m", **given}, environ={}), device="cpu")


def from_toml(tmp_path: Path, text: str, **given: Any) -> tuple[Setting, ...]:
    (tmp_path / "x.toml").write_text(text)
    return expand(load_experiment(tmp_path / "x.toml", given, environ={}), device="cpu")


def ids(made: tuple[Setting, ...]) -> list[str]:
    return [setting.id for setting in made]


def test_settings_are_the_product_of_the_axes() -> None:
    made = settings(backend="vllm,sglang", tp="1,2", spec="none,ngram")
    assert len(made) == 8
    assert {(s.backend, s.tensor_parallel, s.speculation.kind) for s in made} == {
        (backend, tp, spec) for backend in ("vllm", "sglang") for tp in (1, 2) for spec in ("none", "ngram")
    }


@given(
    tp=st.sets(st.integers(1, 8), min_size=1),
    pp=st.sets(st.integers(1, 4), min_size=1),
    dtypes=st.sets(st.sampled_from(["auto", "float32", "bfloat16"]), min_size=1),
)
def test_ids_are_unique_and_none_is_missing(tp: set[int], pp: set[int], dtypes: set[str]) -> None:
    made = settings(tp=list(tp), pp=list(pp), dtype=list(dtypes))
    assert len(set(ids(made))) == len(made) == 2 * len(tp) * len(pp) * len(dtypes)


def test_versions_of_one_engine_are_settings_of_their_own_with_their_own_flags() -> None:
    made = settings(backend="vllm==0.32.0,vllm==0.31.0", engine_args=["vllm=--a", "vllm==0.31.0=--b"])
    assert [(s.version, s.engine_args) for s in made] == [("0.32.0", ("--a",)), ("0.31.0", ("--b",))]


def test_alternatives_of_engine_args_are_an_axis(tmp_path: Path) -> None:
    made = from_toml(tmp_path, 'backend = "vllm"\nmodel = "m"\n[engine_args]\nvllm = [[], ["--a"]]')
    assert [s.engine_args for s in made] == [(), ("--a",)]


def test_a_hosted_endpoint_is_one_setting_whatever_the_axes(tmp_path: Path) -> None:
    made = from_toml(
        tmp_path,
        'backend = ["vllm", "openai"]\nmodel = "m"\ntp = [1, 2]\nbase_url = "http://h/v1"\nprice = "1/2"',
    )
    hosted = [s for s in made if s.backend == "openai"]
    assert len(made) == 3
    assert [(s.base_url, s.devices, s.price is not None) for s in hosted] == [("http://h/v1", None, True)]
    assert all(s.base_url is None and s.price is None for s in made if s.backend == "vllm")


def test_an_attached_server_is_marked_and_is_one_setting_only() -> None:
    (made,) = settings(backend="vllm", attach=["vllm=http://h:8000"])
    assert made.base_url == "http://h:8000"
    with pytest.raises(UsageError, match="is one server, and 2 settings name it"):
        settings(backend="vllm", tp="1,2", attach=["vllm=http://h:8000"])


def test_rules_include_and_exclude(tmp_path: Path) -> None:
    axes = 'backend = ["vllm", "sglang"]\nmodel = ["org/A", "org/b"]\ntp = [1, 2, 4]\nspec = ["none", "ngram"]\n'
    rules = '[[include]]\nmodel = "a"\n[[include]]\ntp = [1, 2]\n[[exclude]]\nbackend = "sglang"\nspec = "ngram"\n'
    made = from_toml(tmp_path, axes + rules)
    expected = {
        (backend, model, tp, spec)
        for backend in ("vllm", "sglang")
        for model in ("org/A", "org/b")
        for tp in (1, 2, 4)
        for spec in ("none", "ngram")
        if (model == "org/A" or tp in (1, 2)) and not (backend == "sglang" and spec == "ngram")
    }
    assert {(s.backend, s.model, s.tensor_parallel, s.speculation.kind) for s in made} == expected
    assert len(made) == len(expected)


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ('spec = "ngram"', {"none", "eagle-5-d"}),
        ('spec = "ngram-5-1-4"', {"none", "ngram-3-2-4", "eagle-5-d"}),
        ('spec = { kind = "ngram", num_tokens = 3, lookup_min = 2 }', {"none", "ngram", "eagle-5-d"}),
        ('spec = ["eagle", "none"]', {"ngram", "ngram-3-2-4"}),
        ('spec = "eagle:org/D"', {"none", "ngram", "ngram-3-2-4"}),
        ('spec = "eagle-5-d"', {"none", "ngram", "ngram-3-2-4"}),
        ('model = "Big"\nspec = ["ngram", "eagle"]', {"none"}),
    ],
)
def test_a_rule_takes_what_an_axis_or_an_id_says(rule: str, left: set[str], tmp_path: Path) -> None:
    axes = 'backend = "vllm"\nmodel = "org/Big"\nspec = ["none", "ngram", "ngram-3-2-4", "eagle:org/D"]\n'
    assert {s.speculation.id for s in from_toml(tmp_path, f"{axes}[[exclude]]\n{rule}\n")} == left


def test_a_rule_that_no_speculation_can_match_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'ngram'"):
        from_toml(tmp_path, 'model = "m"\n[[exclude]]\nspec = "ngrm"')


def test_a_bound_in_dollars_needs_the_price_of_every_hosted_endpoint(tmp_path: Path) -> None:
    hosted: dict[str, Any] = {"backend": "openai", "base_url": "http://h/v1", "budget_usd": 2}
    assert settings(**hosted, price="1/2")
    for asked in (hosted, {"backend": "vllm", "budget_usd": 2}):
        with pytest.raises(UsageError, match="--budget-usd bounds what hosted endpoints cost"):
            settings(**asked)
    beside = '[[settings]]\nbase_url = "http://h/v1"\nmodel = "{0}"\n'
    text = 'backend = "vllm"\nmodel = "org/m"\n' + beside.format("a") + 'price = "1/2"\n'
    assert from_toml(tmp_path, text, budget_usd=2)
    with pytest.raises(UsageError, match="for openai/b/"):
        from_toml(tmp_path, text + beside.format("b"), budget_usd=2)


def test_rules_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave no setting"):
        from_toml(tmp_path, 'model = "m"\n[[include]]\ntp = 3')


def test_explicit_settings_stand_alone_or_beside_the_product(tmp_path: Path) -> None:
    text = 'model = "m"\n[[settings]]\nbackend = "vllm"\ntp = 4\n'
    assert ids(from_toml(tmp_path, text)) == ["vllm/m/tp4-pp1-dp1/none"]
    assert ids(from_toml(tmp_path, 'backend = "sglang"\n' + text)) == [
        "sglang/m/tp1-pp1-dp1/none",
        "vllm/m/tp4-pp1-dp1/none",
    ]


def test_a_setting_asked_for_twice_is_made_once(tmp_path: Path) -> None:
    assert len(from_toml(tmp_path, 'backend = "vllm"\nmodel = "m"\n[[settings]]\nbackend = "vllm"')) == 1


def test_settings_that_share_an_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="both be called vllm/m/tp1-pp1-dp1/none"):
        from_toml(tmp_path, 'backend = "vllm"\nmodel = ["a/m", "b/m"]')


def test_without_a_model_there_is_no_setting() -> None:
    with pytest.raises(UsageError, match="no model is named; give --model"):
        expand(load_experiment(None, {"backend": "vllm"}), device="cpu")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, False),
        ({"method": "truncate,force"}, True),
        ({"method": "vote", "samples": 4, "temperature": 0.5}, True),
        ({"method": "force", "prefix_caching": False}, False),
        ({"prefix_caching": True}, True),
    ],
)
def test_the_prefix_cache_is_on_for_methods_that_reuse_a_prefix_or_when_asked(
    given: dict[str, Any], expected: bool
) -> None:
    assert {s.prefix_caching for s in settings(**given)} == {expected}


def works(**given: Any) -> Any:
    return work(load_experiment(None, {"model": "m", **given}))


def test_greedy_work_is_one_pass_at_the_largest_budget() -> None:
    (item,) = works(budget="1k,16k,4k")
    assert (item.budget, item.derived_budgets) == (16384, (1024, 4096))


def test_sampled_work_and_work_that_cannot_be_cut_is_a_pass_a_budget() -> None:
    assert [w.budget for w in works(budget="1k,2k", temperature=0.6)] == [1024, 2048]
    assert [w.budget for w in works(budget="1k,2k", curve="per-budget")] == [1024, 2048]
    assert [w.budget for w in works(budget="1k,2k", method="force", curve="single-pass")] == [1024, 2048]
    assert [w.budget for w in works(budget="1k,2k", temperature=0.6, curve="single-pass")] == [2048]


def test_a_spot_check_sends_the_smallest_budget_for_some_problems() -> None:
    one, check = works(budget="1k,2k,4k", spot_check=5)
    assert (check.budget, check.problem_limit, check.spot_check) == (1024, 5, True)
    assert (one.budget, one.problem_limit, one.spot_check) == (4096, None, False)
    assert len(works(budget="4k", spot_check=5)) == 1


def test_work_is_every_method_at_every_load(tmp_path: Path) -> None:
    made = works(method="truncate,no_thinking", concurrency="1,8", budget="1k")
    assert [(w.method, w.load) for w in made] == [
        ("truncate", "c1"),
        ("truncate", "c8"),
        ("no_thinking", "c1"),
        ("no_thinking", "c8"),
    ]


def test_an_unknown_method_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown method 'trunc'; did you mean 'truncate'"):
        works(method="trunc")


def test_a_method_that_cannot_put_the_prompt_is_refused_beforehand() -> None:
    chat, completion = PROMPTS["math"], PROMPTS["fewshot"]
    check_prompt(works(method="truncate"), chat, can_render=False)
    check_prompt(works(method="force"), completion, can_render=False)
    check_prompt(works(method="force,no_thinking"), chat, can_render=True)
    with pytest.raises(UsageError, match="force needs the model's chat template"):
        check_prompt(works(method="truncate,force"), chat, can_render=False)
    with pytest.raises(UsageError, match="no_thinking writes into a chat's thinking block"):
        check_prompt(works(method="no_thinking"), completion, can_render=True)


def test_repeats_run_to_and_fro_within_a_model() -> None:
    made = settings(backend="vllm", model="x,y", tp="1,2")
    blocks = [(b.setting.model, b.setting.tensor_parallel, b.repeat) for b in order(made, 3)]
    one = [(1, 0), (2, 0), (2, 1), (1, 1), (1, 2), (2, 2)]
    assert blocks == [("x", *rest) for rest in one] + [("y", *rest) for rest in one]


@given(models=st.integers(1, 3), tps=st.integers(1, 4), repeats=st.integers(1, 5))
def test_every_setting_starts_once_a_repeat_and_each_model_is_loaded_in_one_stretch(
    models: int, tps: int, repeats: int
) -> None:
    made = settings(model=[f"m{i}" for i in range(models)], tp=list(range(1, tps + 1)))
    blocks = order(made, repeats)
    assert Counter((b.setting, b.repeat) for b in blocks) == Counter((s, r) for s in made for r in range(repeats))
    stretches = [b.setting.model for b in blocks]
    assert sum(a != b for a, b in pairwise(stretches)) == models - 1


def test_a_round_starts_every_setting_with_all_its_repeats_before_the_next_begins() -> None:
    made = settings(backend="vllm", model="x", tp="1,2")
    blocks = [(b.round, b.repeat, b.setting.tensor_parallel) for b in order(made, 2, 3)]
    assert blocks == [(r, k, tp) for r in range(3) for k in range(2) for tp in ((1, 2), (2, 1))[k]]
    alone = [(b.round, b.setting.tensor_parallel) for b in order(made, 1, 4)]
    assert alone == [(0, 1), (0, 2), (1, 2), (1, 1), (2, 1), (2, 2), (3, 2), (3, 1)]


def test_a_replica_is_its_setting_under_another_name_with_the_same_server(tmp_path: Path) -> None:
    made = settings(backend="vllm", spec="none,ngram", replica=["again", "third"])
    assert ids(made)[:3] == [f"vllm/m/tp1-pp1-dp1/none{copy}" for copy in ("", "+again", "+third")]
    assert len(set(ids(made))) == 6
    for setting in made:
        stated = BACKENDS["vllm"].argv(setting, python="p", host="h", port=1, served_name="m", version=None)
        plain = replace(setting, replica=None)
        assert stated == BACKENDS["vllm"].argv(plain, python="p", host="h", port=1, served_name="m", version=None)
    one = from_toml(
        tmp_path, 'model = "m"\n[[settings]]\nbackend = "vllm"\nreplica = "b"\n[[settings]]\nbackend = "sglang"'
    )
    assert ids(one) == ["vllm/m/tp1-pp1-dp1/none", "vllm/m/tp1-pp1-dp1/none+b", "sglang/m/tp1-pp1-dp1/none"]


def test_a_server_that_is_attached_to_or_hosted_may_have_replicas() -> None:
    assert len(settings(backend="vllm", attach=["vllm=http://h"], replica="b")) == 2
    hosted = settings(backend="openai", base_url="http://h/v1", replica="b")
    assert ids(hosted)[1] == f"{ids(hosted)[0]}+b"


def test_replicas_are_compared_along_an_axis_of_their_own() -> None:
    facts = {s.id: setting_facts(s) for s in settings(backend="vllm", tp="1,2", replica="b")}
    pairs = {(axis, a, b) for axis, a, b in setting_pairs(facts) if axis == "replica"}
    assert pairs == {("replica", f"vllm/m/tp{n}-pp1-dp1/none", f"vllm/m/tp{n}-pp1-dp1/none+b") for n in (1, 2)}


LENGTHS = PromptTokens(least=100, most=300)


def test_max_model_len_is_by_default_the_longest_prompt_and_the_largest_budget() -> None:
    fitted = fit_lengths(settings(), works(budget="1k,4k"), LENGTHS)
    assert {s.max_model_len for s in fitted} == {300 + 4096}


def test_a_method_that_writes_more_gets_more_room() -> None:
    (setting, *_) = fit_lengths(settings(), works(budget="1k", method="truncate,force"), LENGTHS)
    assert (setting.max_model_len or 0) >= 300 + 1024 + 64


def test_a_budget_that_does_not_fit_with_its_prompt_is_refused() -> None:
    asked = settings(max_model_len=1100)
    with pytest.raises(UsageError, match="--budget 1024 does not fit: with at least 100 tokens of prompt"):
        fit_lengths(asked, works(budget="512,1k"), LENGTHS)
    assert fit_lengths(settings(max_model_len=1124), works(budget="1k"), LENGTHS)[0].max_model_len == 1124


def test_a_server_that_is_not_ours_keeps_its_length() -> None:
    (setting,) = settings(backend="vllm", attach=["vllm=http://h"])
    assert fit_lengths((setting,), works(budget="1k"), LENGTHS) == (setting,)


def test_a_tokenizer_counts_exactly_and_without_one_there_are_bounds() -> None:
    problems = [Problem(id="a", problem="x" * n, answer="1") for n in (3, 30)]
    exact = longest_prompt(problems, PROMPTS["fewshot"], count=len)
    assert exact.least == exact.most == len(PROMPTS["fewshot"].text_for(problems[1])) + 1
    bounds = longest_prompt(problems, PROMPTS["fewshot"])
    assert bounds.least < bounds.most < exact.most


@given(st.text(max_size=200))
def test_the_guess_is_never_more_than_a_token_a_byte(text: str) -> None:
    assert most_tokens(text) <= len(text.encode())
