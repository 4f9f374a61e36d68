"""Further request fields: how they are stated, where they go, and that none replaces what we state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tts_compare.backends import BACKENDS
from tts_compare.backends.extra import refused_field, with_extra
from tts_compare.config import Experiment, load_experiment
from tts_compare.domain import Call, Problem, Sampling, Setting
from tts_compare.errors import UsageError
from tts_compare.measure.tasks import Point, tasks_of
from tts_compare.methods import load_prompt
from tts_compare.methods.prompting import Prompting
from tts_compare.plan.grid import expand, work
from tts_compare.plan.manifest import setting_facts

CALL = Call(max_tokens=8, sampling=Sampling(), messages=(("user", "x"),))


def asked(**given: Any) -> Experiment:
    return load_experiment(None, {"model": "m", "backend": "vllm,sglang", **given}, environ={})


def reason(fields: dict[str, str], backend: str = "vllm", method: dict[str, str] | None = None) -> str | None:
    item = replace(work(asked())[0], extra_body=tuple(sorted((method or {}).items())))
    setting = Setting(backend=backend, model="m", extra_body=tuple(sorted(fields.items())))
    return refused_field(BACKENDS[backend], setting, item)


def test_a_flag_and_a_table_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        'model = "m"\nbackend = ["vllm", "sglang"]\n[extra_body.vllm]\nlogit_bias = {"5" = 2}\n'
    )
    table = load_experiment(tmp_path / "x.toml", {}, environ={})
    flag = asked(extra_body=['vllm={"logit_bias": {"5": 2}}'])
    assert table.axes.extra_body == flag.axes.extra_body == {"vllm": (("logit_bias", '{"5": 2}'),)}


def test_fields_belong_to_their_engine_and_are_in_the_id_and_the_manifest() -> None:
    plain = {s.backend: s for s in expand(asked(), device="cpu")}
    fields = {s.backend: s for s in expand(asked(extra_body='vllm={"x": [1]}'), device="cpu")}
    assert fields["sglang"] == plain["sglang"]
    assert fields["vllm"].id != plain["vllm"].id
    assert fields["vllm"].id.startswith(plain["vllm"].id)
    assert setting_facts(fields["vllm"]).extra_body == {"x": [1]}


def test_one_setting_can_state_its_own(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        'model = "m"\n[[settings]]\nbackend = "vllm"\nextra_body = {a = 1}\n[[settings]]\nbackend = "sglang"\n'
    )
    made = expand(load_experiment(tmp_path / "x.toml", {}, environ={}), device="cpu")
    assert [s.extra_body for s in made] == [(("a", "1"),), ()]


def test_a_methods_fields_are_on_each_of_its_calls(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        'model = "m"\nsamples = 2\n[method_options.truncate.extra_body]\na = {b = [1, 2]}\n'
    )
    (item,) = work(load_experiment(tmp_path / "x.toml", {}, environ={}))
    point = Point(setting="s", work=item)
    (task,) = tasks_of(point, [Problem(id="1", problem="1+1", answer="2")], Prompting(prompt=load_prompt("math")))
    (call,) = next(task.start())
    assert call.extra_body == (("a", '{"b": [1, 2]}'),)
    assert with_extra({"model": "m"}, call.extra_body) == {"model": "m", "a": {"b": [1, 2]}}


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_no_field_that_a_request_states_can_be_replaced(backend: str) -> None:
    for name in BACKENDS[backend].request(CALL, "m")[1]:
        told = reason({name: "1"}, backend)
        assert told is not None
        assert repr(name) in told
        assert with_extra({name: "ours"}, ((name, "1"),)) == {name: "ours"}


@pytest.mark.parametrize("name", ["max_completion_tokens", "include_reasoning", "n"])
def test_a_field_that_would_undo_a_stated_one_is_refused(name: str) -> None:
    assert repr(name) in (reason({name: "1"}) or "")


def test_a_field_stated_for_engine_and_method_is_refused_and_others_are_not() -> None:
    assert "'a'" in (reason({"a": "1"}, method={"a": "2"}) or "")
    assert reason({"a": "1"}, method={"b": "2"}) is None
    assert reason({"top_k": "20"}, "openai") is None, "OpenAI's own fields have no top_k, and we state none"


@pytest.mark.parametrize("text", ["[1]", "{", "5", '{"a": NaN}'])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--extra-body"):
        asked(extra_body=f"vllm={text}")


def test_the_run_is_refused_with_the_name_of_the_field(tmp_path: Path) -> None:
    from tts_compare.plan.prepare import prepare

    experiment = asked(extra_body='vllm={"top_k": 20}', dataset="quickstart")
    with pytest.raises(UsageError, match="'top_k' is stated by every request; set top_k itself"):
        prepare(experiment, fetch=False)
