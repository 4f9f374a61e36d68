"""What every backend promises, over the dict: a new engine is tested by being listed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.backends import BACKENDS, Backend, Machine
from tts_compare.domain import Call, Sampling, Setting, Speculation, SpeculationKind

LOOPBACK = "127.0.0.1"
MACHINE = Machine(device="cuda", devices=8, memory_bytes=2**40, cores=tuple(range(64)), gpu_memory_bytes=80 * 2**30)
SAMPLING = Sampling(temperature=0.6, top_p=0.95, top_k=20, min_p=0.1, repetition_penalty=1.1, seed=7)
CHAT = Call(max_tokens=64, sampling=SAMPLING, messages=(("user", "1+1?"),))
SPECULATIONS: tuple[SpeculationKind, ...] = ("none", "ngram", "draft_model", "eagle", "eagle3", "mtp")

every_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())


def setting_for(backend: Backend, **changes: object) -> Setting:
    base = Setting(backend=backend.name, model="org/Model-7B", device="cuda", max_model_len=4096)
    if not backend.launched:
        base = replace(base, base_url="http://127.0.0.1:1/v1")
    return replace(base, **changes)  # type: ignore[arg-type]


def argv_of(backend: Backend, setting: Setting) -> tuple[str, ...]:
    return backend.argv(
        setting, python="/env/bin/python", host=LOOPBACK, port=23456, served_name=backend.served_name(setting)
    )


def test_the_dict_names_each_backend_as_it_names_itself() -> None:
    assert {key: backend.name for key, backend in BACKENDS.items()} == {key: key for key in BACKENDS}


@every_backend
def test_a_launched_engine_has_a_module_a_distribution_and_ways_to_ask_it(backend: Backend) -> None:
    asked = (backend.health_path, backend.version_path, backend.metrics_path, backend.flush_path)
    if backend.launched:
        assert bool(backend.module) == bool(backend.distributions) != bool(backend.program)
        assert backend.health_path is not None
        assert all(path is None or path.startswith("/") for path in asked)
        assert bool(backend.metrics.generation_tokens) == bool(backend.metrics_path)
        assert backend.stop_grace_s > 0
        assert (backend.check(backend.pinned) or "").split(".")[0] == (backend.module or "")
    else:
        assert backend.module is None
        assert asked == (None, None, None, None)


@every_backend
def test_argv_runs_the_given_python_listens_where_told_and_names_the_model(backend: Backend) -> None:
    setting = setting_for(backend)
    argv = argv_of(backend, setting)
    if not backend.launched:
        assert argv == ()
        return
    assert argv[0] == "/env/bin/python"
    for flag, value in (("--host", LOOPBACK), ("--port", "23456")):
        assert argv[argv.index(flag) + 1] == value
    assert backend.served_name(setting) in argv
    assert "org/Model-7B" in argv


#: What some engines call a sampling parameter.
RENAMED = {"repetition_penalty": "repeat_penalty"}


@every_backend
def test_engine_args_come_last_and_verbatim(backend: Backend) -> None:
    extra = ("--enable-something", '{"a": [1, 2]}', "--x=y z")
    argv = argv_of(backend, setting_for(backend, engine_args=extra))
    assert argv[-3:] == extra or not backend.launched


@every_backend
@pytest.mark.parametrize("kind", SPECULATIONS)
def test_each_speculation_changes_argv_and_names_its_draft(backend: Backend, kind: SpeculationKind) -> None:
    if not backend.launched:
        assert (backend.unsupported(setting_for(backend, speculation=Speculation(kind="ngram")), MACHINE)) is not None
        return
    if kind != "none" and backend.ngram is None:
        assert "speculation" in str(
            backend.unsupported(setting_for(backend, speculation=Speculation(kind=kind)), MACHINE)
        )
        return
    draft = "org/Draft-1B" if kind in ("draft_model", "eagle", "eagle3") else None
    spoken = " ".join(argv_of(backend, setting_for(backend, speculation=Speculation(kind=kind, model=draft))))
    assert ("speculative" in spoken) == (kind != "none")
    assert draft is None or draft in spoken


@every_backend
def test_what_is_compared_alike_is_always_stated(backend: Backend) -> None:
    if not backend.launched:
        return
    plain = {"device": "cpu", "prefix_caching": True, "max_num_seqs": 3, "max_model_len": 4096, "dtype": "float32"}
    other = {"prefix_caching": False, "max_num_seqs": 5, "max_model_len": 2048, "dtype": "bfloat16"}
    argv = argv_of(backend, setting_for(backend, seed=11, **plain))
    changed = {name: argv_of(backend, setting_for(backend, seed=11, **plain | {name: other[name]})) for name in other}
    assert {name for name, found in changed.items() if found == argv} == set(backend.not_stated)
    assert "11" in argv


@every_backend
def test_a_key_is_handed_over_by_environment_or_not_at_all(backend: Backend) -> None:
    key_env = backend.key_env("planted-key")
    assert key_env is None or "planted-key" in key_env.values()
    assert not any("key" in argument for argument in argv_of(backend, setting_for(backend)))


@every_backend
def test_the_cache_block_of_a_launched_engine_is_a_number_of_tokens(backend: Backend) -> None:
    block = backend.block_tokens(setting_for(backend))
    has_cache = backend.launched and "prefix_caching" not in backend.not_stated
    assert block is None or (has_cache and block >= 1)
    assert block is not None or not backend.metrics.block


@every_backend
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_environment_is_strings_and_binds_one_core_list_a_rank(backend: Backend, device: str) -> None:
    setting = setting_for(backend, device=device, tensor_parallel=4, threads_per_rank=3)
    env = backend.env(setting, cores=range(10, 22))
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in env.items())
    bound = [value for key, value in env.items() if key.endswith("OMP_THREADS_BIND")]
    here = Machine(device="cpu", devices=12, cores=tuple(range(10, 22)), memory_bytes=2**40)
    runs = backend.launched and device == "cpu" and backend.unsupported(setting, here) is None
    assert bound == (["10,11,12|13,14,15|16,17,18|19,20,21"] if runs else [])


@every_backend
def test_a_request_streams_caps_tokens_and_asks_for_usage(backend: Backend) -> None:
    path, body = backend.request(CHAT, "served")
    assert path == "/chat/completions"
    assert json.loads(json.dumps(body)) == body
    assert body["model"] == "served"
    assert body["stream"] is True
    assert body["stream_options"]["include_usage"] is True
    assert body["messages"] == [{"role": "user", "content": "1+1?"}]
    assert 64 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert "stop" not in body


@every_backend
def test_a_request_states_every_sampling_parameter_that_the_engine_knows(backend: Backend) -> None:
    _, body = backend.request(CHAT, "served")
    known = {"temperature", "top_p", "seed"} | ({"top_k", "min_p", "repetition_penalty"} if backend.launched else set())
    stated = json.loads(body.get("generation_config", "{}")) | body
    assert {name: stated[RENAMED.get(name, name) if name not in stated else name] for name in known} == {
        name: getattr(SAMPLING, name) for name in known
    }
    assert backend.launched or "top_k" not in body


@every_backend
def test_text_and_token_prompts_go_to_completions(backend: Backend) -> None:
    text = backend.request(Call(max_tokens=1, sampling=SAMPLING, prompt="Once"), "served")
    assert (text[0], text[1]["prompt"]) == ("/completions", "Once")
    call = Call(max_tokens=1, sampling=SAMPLING, prompt_token_ids=(1, 2))
    if not backend.wire.token_prompts:
        with pytest.raises(ValueError, match="token ids"):
            backend.request(call, "served")
        return
    ids = backend.request(call, "served")
    assert (ids[0], ids[1]["prompt"]) == ("/completions", [1, 2])


@every_backend
def test_a_call_with_two_prompts_or_none_is_refused(backend: Backend) -> None:
    for call in (replace(CHAT, prompt="too"), replace(CHAT, messages=None)):
        with pytest.raises(ValueError, match="exactly one"):
            backend.request(call, "served")


@every_backend
def test_a_plain_setting_is_supported_and_a_quantity_below_one_is_not(backend: Backend) -> None:
    assert backend.unsupported(setting_for(backend), MACHINE) is None
    for name in ("tensor_parallel", "pipeline_parallel", "data_parallel", "max_num_seqs", "max_model_len"):
        reason = backend.unsupported(setting_for(backend, **{name: 0}), MACHINE)
        assert reason is not None
        assert name in reason


@every_backend
@given(log=st.text(max_size=2000))
def test_any_log_gives_a_cause_of_one_short_line(backend: Backend, log: str) -> None:
    cause, _ = backend.startup_cause(log)
    assert 0 < len(cause) <= 300
    assert len(cause.splitlines()) == 1
