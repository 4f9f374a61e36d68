"""The llama.cpp server as a backend: its command line and its requests, in its own words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tts_compare.backends import BACKENDS
from tts_compare.backends.facts import Machine
from tts_compare.domain import Call, Sampling, Setting, Speculation
from tts_compare.errors import UsageError
from tts_compare.plan.model_facts import check_model, facts_of

LLAMA = BACKENDS["llamacpp"]
SETTING = Setting(
    backend="llamacpp", model="/models/m.gguf", device="cpu", max_model_len=2048, max_num_seqs=4, threads_per_rank=2
)
MACHINE = Machine(device="cpu", devices=8, memory_bytes=2**34, cores=tuple(range(8)))
CALL = Call(max_tokens=16, sampling=Sampling(seed=7), messages=(("user", "2 + 2?"),))


def flags(setting: Setting) -> dict[str, str]:
    argv = LLAMA.argv(setting, python="/bin/llama-server", host="127.0.0.1", port=8080, served_name="m")
    assert argv[0] == "/bin/llama-server"
    return {flag: value for flag, value in zip(argv[1:], (*argv[2:], ""), strict=True) if flag.startswith("--")}


def test_the_context_is_stated_for_all_slots_together() -> None:
    found = flags(SETTING)
    assert (found["--ctx-size"], found["--parallel"]) == ("8192", "4")


def test_what_is_compared_is_stated() -> None:
    found = flags(SETTING)
    assert (found["--threads"], found["--device"], found["--alias"]) == ("2", "none", "m")
    assert "--no-cache-prompt" in found
    assert "--cache-prompt" in flags(replace(SETTING, prefix_caching=True))
    assert flags(replace(SETTING, device="cuda"))["--n-gpu-layers"] == "all"


def test_sampling_is_stated_in_its_names() -> None:
    path, body = LLAMA.request(CALL, "m")
    assert path == "/chat/completions"
    assert (body["repeat_penalty"], body["top_k"], body["seed"]) == (1.0, 0, 7)
    assert body["stream_options"] == {"include_usage": True}
    assert not {"n", "repetition_penalty"} & set(body)


@pytest.mark.parametrize(
    "call", [replace(CALL, n=2), replace(CALL, messages=None, prompt_token_ids=(1, 2))], ids=["choices", "token ids"]
)
def test_what_it_is_not_known_to_take_is_refused(call: Call) -> None:
    with pytest.raises(ValueError, match="token ids"):
        LLAMA.request(call, "m")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tensor_parallel": 2}, "one device"),
        ({"speculation": Speculation(kind="ngram")}, "not mapped"),
    ],
)
def test_a_setting_that_is_not_mapped_is_skipped_with_its_reason(change: dict[str, object], reason: str) -> None:
    assert reason in (LLAMA.unsupported(replace(SETTING, **change), MACHINE) or "")  # type: ignore[arg-type]


def test_a_model_may_be_one_file(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF")
    check_model(str(file))
    assert facts_of(str(file)) is None
    with pytest.raises(UsageError, match="no model at"):
        check_model(str(tmp_path / "other.gguf"))


def test_a_key_shows_on_no_command_line() -> None:
    assert LLAMA.key_env("secret") == {"LLAMA_API_KEY": "secret"}
