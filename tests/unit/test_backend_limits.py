"""Settings that cannot run are left out with a reason that names what is in the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tts_compare.backends import BACKENDS, Machine, ModelFacts, model_facts
from tts_compare.domain import Setting, Speculation

LAPTOP = Machine(device="cpu", devices=2, memory_bytes=24 * 2**30, cores=(0, 1))
NODE = Machine(device="cuda", devices=4, memory_bytes=2**40, cores=tuple(range(32)), gpu_memory_bytes=24 * 2**30)
MODEL = ModelFacts(layers=30, heads=9, kv_heads=3, head_dim=64, max_position=8192, parameters=135_000_000)
ON_CPU = Setting(backend="vllm", model="m", max_model_len=2048)
ON_GPU = replace(ON_CPU, device="cuda")

ENGINES = pytest.mark.parametrize("engine", ["vllm", "sglang"])


def reason(setting: Setting, engine: str, machine: Machine, model: ModelFacts | None = MODEL) -> str | None:
    return BACKENDS[engine].unsupported(replace(setting, backend=engine), machine, model)


@ENGINES
@pytest.mark.parametrize(
    ("changes", "machine", "words"),
    [
        ({"tensor_parallel": 2}, LAPTOP, "does not divide the model's 9 attention heads"),
        ({"tensor_parallel": 3}, LAPTOP, "3 ranks"),
        ({"threads_per_rank": 3}, LAPTOP, "2 cores can be used"),
        ({"device": "cuda"}, LAPTOP, "shows none"),
        ({"device": "cuda", "tensor_parallel": 9}, NODE, "needs 9 GPUs and 4"),
        ({"device": "cuda", "pipeline_parallel": 2, "data_parallel": 3}, NODE, "needs 6 GPUs"),
        ({"max_model_len": 9000}, LAPTOP, "exceeds the model's 8192 positions"),
        ({"threads_per_rank": 0}, LAPTOP, "threads_per_rank is 0"),
        ({"device": "cuda", "speculation": Speculation(kind="ngram", lookup_min=5)}, NODE, "lookup 5..4"),
        ({"device": "cuda", "speculation": Speculation(kind="ngram", num_tokens=0)}, NODE, "proposes 0 tokens"),
        ({"device": "cuda", "speculation": Speculation(kind="eagle")}, NODE, "needs the path or name of a draft"),
        ({"device": "cuda", "speculation": Speculation(kind="draft_model")}, NODE, "needs the path or name"),
    ],
)
def test_the_reason_names_what_is_in_the_way(
    engine: str, changes: dict[str, object], machine: Machine, words: str
) -> None:
    found = reason(replace(ON_CPU, **changes), engine, machine)  # type: ignore[arg-type]
    assert found is not None
    assert words in found


@ENGINES
def test_what_the_machine_can_do_has_no_reason(engine: str) -> None:
    even = replace(MODEL, heads=12, kv_heads=2)
    assert reason(ON_CPU, engine, LAPTOP) is None
    assert reason(replace(ON_CPU, tensor_parallel=2), engine, LAPTOP, even) is None
    assert reason(replace(ON_GPU, tensor_parallel=4), engine, NODE, even) is None  # 2 KV heads are repeated over 4
    assert reason(replace(ON_GPU, speculation=Speculation(kind="ngram")), engine, NODE) is None
    assert reason(ON_CPU, engine, LAPTOP, None) is None


@ENGINES
def test_key_value_heads_that_neither_split_nor_repeat_are_refused(engine: str) -> None:
    found = reason(replace(ON_GPU, tensor_parallel=4), engine, NODE, replace(MODEL, heads=12, kv_heads=6))
    assert found is not None
    assert "6 key-value heads" in found


@ENGINES
def test_weights_that_exceed_memory_are_refused_and_split_over_gpus_they_fit(engine: str) -> None:
    big = replace(MODEL, heads=8, kv_heads=8, parameters=14_000_000_000, dtype="bfloat16")
    assert "26.1 GiB" in str(reason(ON_GPU, engine, NODE, big))
    assert reason(replace(ON_GPU, tensor_parallel=2), engine, NODE, big) is None
    assert "52.2 GiB" in str(reason(ON_CPU, engine, LAPTOP, big))  # float32 on a CPU


@ENGINES
def test_on_a_gpu_auto_halves_weights_stored_as_float32_as_both_engines_do(engine: str) -> None:
    stored = replace(MODEL, heads=8, kv_heads=8, parameters=8_000_000_000, dtype="float32")
    assert reason(ON_GPU, engine, NODE, stored) is None
    assert "29.8 GiB" in str(reason(replace(ON_GPU, dtype="float32"), engine, NODE, stored))


@pytest.mark.parametrize("kind", ["ngram", "draft_model", "eagle", "eagle3", "mtp"])
def test_sglang_speculates_on_a_gpu_only(kind: str) -> None:
    speculation = Speculation(kind=kind, model="draft")  # type: ignore[arg-type]
    on_cpu = reason(replace(ON_CPU, speculation=speculation), "sglang", LAPTOP)
    assert on_cpu is not None
    assert on_cpu.startswith("SGLang's")
    assert reason(replace(ON_GPU, speculation=speculation), "sglang", NODE) is None


@pytest.mark.parametrize("kind", ["ngram", "draft_model", "eagle", "eagle3", "mtp"])
def test_sglang_does_not_speculate_over_the_stages_of_a_pipeline(kind: str) -> None:
    speculation = Speculation(kind=kind, model="draft")  # type: ignore[arg-type]
    piped = replace(ON_GPU, pipeline_parallel=2, speculation=speculation)
    assert "pipeline" in str(reason(piped, "sglang", NODE))
    assert reason(replace(piped, speculation=Speculation()), "sglang", NODE) is None
    assert reason(piped, "vllm", NODE) is None


def test_vllm_speculates_by_ngram_on_a_cpu() -> None:
    assert reason(replace(ON_CPU, speculation=Speculation(kind="ngram")), "vllm", LAPTOP) is None


def test_vllm_has_no_cpu_kernel_for_some_head_sizes() -> None:
    assert "head size 16" in str(reason(ON_CPU, "vllm", LAPTOP, replace(MODEL, head_dim=16)))
    assert reason(ON_CPU, "sglang", LAPTOP, replace(MODEL, head_dim=16)) is None


def test_a_hosted_setting_needs_an_address() -> None:
    hosted = Setting(backend="openai", model="gpt-4o")
    assert "base URL" in str(BACKENDS["openai"].unsupported(hosted, LAPTOP))
    assert BACKENDS["openai"].unsupported(replace(hosted, base_url="https://api.example.com/v1"), LAPTOP) is None


QWEN = {
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 1536,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}


def test_model_facts_are_read_from_config_json() -> None:
    facts = model_facts(QWEN, weight_bytes=3_554_214_752)
    assert (facts.architecture, facts.heads, facts.kv_heads, facts.head_dim) == ("Qwen2ForCausalLM", 12, 2, 128)
    assert (facts.layers, facts.max_position, facts.vocab) == (28, 131072, 151936)
    assert facts.parameters == 1_777_107_376
    assert facts.kv_bytes_per_token("bfloat16") == 2 * 28 * 2 * 128 * 2


def test_model_facts_without_key_value_heads_take_all_heads_and_nested_text_configs_are_found() -> None:
    assert model_facts({"n_head": 12, "n_embd": 768, "n_layer": 12, "n_positions": 1024}).kv_heads == 12
    assert model_facts({"architectures": ["X"], "text_config": QWEN}).heads == 12
    assert model_facts({}) == ModelFacts()


@pytest.mark.parametrize(
    ("scaling", "positions"),
    [
        ({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        ({"rope_type": "linear", "factor": 2.0}, 262144),
        ({"rope_type": "llama3", "factor": 8.0}, 131072),
        ({"rope_type": "default"}, 131072),
    ],
)
def test_rope_scaling_stretches_the_positions_as_engines_do(scaling: dict[str, object], positions: int) -> None:
    assert model_facts(QWEN | {"rope_scaling": scaling}).max_position == positions


def test_vllm_with_pipeline_stages_on_a_cpu_is_refused_before_its_first_request_ends_it() -> None:
    piped = Setting(backend="vllm", model="m", pipeline_parallel=2)
    machine = Machine(device="cpu", devices=4, memory_bytes=10**11, cores=(0, 1, 2, 3))
    reason = BACKENDS["vllm"].unsupported(piped, machine)
    assert reason is not None
    assert "first request ends the engine" in reason
    assert BACKENDS["sglang"].unsupported(replace(piped, backend="sglang"), machine) is None


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_mtp_needs_a_model_that_has_a_layer_for_it(engine: str) -> None:
    setting = Setting(backend=engine, model="m", device="cuda", speculation=Speculation(kind="mtp", num_tokens=1))
    machine = Machine(device="cuda", devices=1, memory_bytes=10**11, gpu_memory_bytes=8 * 10**10)
    shape = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 64}
    reason = BACKENDS[engine].unsupported(setting, machine, model_facts(shape))
    assert reason is not None
    assert "no layer for multi-token prediction" in reason
    assert BACKENDS[engine].unsupported(setting, machine, model_facts(shape | {"num_nextn_predict_layers": 1})) is None
    assert BACKENDS[engine].unsupported(setting, machine, None) is None, "of an unknown model nothing is refused"
