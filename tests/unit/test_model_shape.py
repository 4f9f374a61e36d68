"""A model's shape is read from its files: true counts, each weight once, whatever is tied, quantised or routed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tts_compare.errors import UsageError
from tts_compare.installer import safetensors
from tts_compare.installer.models import _random, _tiny_config, _tiny_shapes
from tts_compare.models.known import known_facts, known_shapes, published_length
from tts_compare.models.shape import from_files, shape_of
from tts_compare.models.tensors import Tensor, tensors_of

CONFIG: dict[str, Any] = {
    "architectures": ["X"],
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "dtype": "bfloat16",
    "max_position_embeddings": 64,
}


def tensor(name: str, *shape: int, dtype: str = "BF16") -> Tensor:
    width = {"BF16": 2, "F16": 2, "F32": 4, "I32": 4, "U8": 1, "F8_E4M3": 1}[dtype]
    size = width
    for length in shape:
        size *= length
    return Tensor(name=name, dtype=dtype, shape=shape, bytes=size)


def dense(*, head: bool = True) -> list[Tensor]:
    layers = [tensor(f"model.layers.{i}.mlp.up_proj.weight", 8, 16) for i in range(2)]
    rows = [tensor("model.embed_tokens.weight", 100, 8), *layers, tensor("model.norm.weight", 8)]
    return [*rows, tensor("lm_head.weight", 100, 8)] if head else rows


def test_a_models_own_files_are_counted_from_their_headers(tmp_path: Path) -> None:
    config = _tiny_config(4, 2, 3)
    (tmp_path / "config.json").write_text(json.dumps(config))
    shapes = _tiny_shapes(config)
    safetensors.write(tmp_path / "model.safetensors", shapes, _random(shapes, 0))
    shape = shape_of(str(tmp_path), directory=tmp_path)
    assert shape is not None
    count = 0
    for one in shapes.values():
        size = 1
        for length in one:
            size *= length
        count += size
    assert shape.parameters == count
    assert shape.embedding_parameters == 49152 * 4 * 32
    assert (shape.layers, shape.heads, shape.kv_heads, shape.head_dim) == (3, 4, 2, 32)
    assert shape.total_bytes() == 2 * count
    assert shape.weight_bytes is None
    assert "safetensors" in shape.source


def test_tied_embeddings_are_one_matrix_whether_it_is_stored_once_or_twice() -> None:
    once = from_files({**CONFIG, "tie_word_embeddings": True}, dense(head=False))
    twice = from_files({**CONFIG, "tie_word_embeddings": True}, dense(head=True))
    unsaid = from_files(CONFIG, dense(head=False))
    untied = from_files(CONFIG, dense())
    assert once is not None
    assert twice is not None
    assert unsaid is not None
    assert untied is not None
    assert once.parameters == twice.parameters == unsaid.parameters == 800 + 2 * 128 + 8
    assert once.tied
    assert unsaid.tied, "no output head is stored"
    assert once.embedding_parameters == 0
    assert untied.parameters == once.parameters + 800
    assert untied.read_bytes() == once.read_bytes()


def test_a_mixture_of_experts_counts_its_experts_apart() -> None:
    experts = [tensor(f"model.layers.{i}.mlp.experts.{e}.up_proj.weight", 8, 16) for i in range(2) for e in range(4)]
    config = {**CONFIG, "num_experts": 4, "num_experts_per_tok": 1}
    shape = from_files(config, [*dense(), *experts])
    assert shape is not None
    assert (shape.experts, shape.experts_per_token, shape.expert_parameters) == (4, 1, 8 * 128)
    assert shape.active_parameters == shape.parameters - 800 - 6 * 128


@pytest.mark.parametrize(
    ("quantised", "stored"),
    [
        (
            {"quant_method": "gptq", "bits": 4},
            [
                tensor("model.layers.0.up.qweight", 1, 16, dtype="I32"),
                tensor("model.layers.0.up.scales", 1, 16, dtype="F16"),
                tensor("model.layers.0.up.qzeros", 1, 2, dtype="I32"),
                tensor("model.layers.0.up.g_idx", 8, dtype="I32"),
            ],
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}},
            [
                tensor("model.layers.0.up.weight_packed", 8, 2, dtype="I32"),
                tensor("model.layers.0.up.weight_scale", 8, 1),
                tensor("model.layers.0.up.weight_shape", 2, dtype="I32"),
            ],
        ),
        (
            {"quant_method": "fp8"},
            [
                tensor("model.layers.0.up.weight", 8, 16, dtype="F8_E4M3"),
                tensor("model.layers.0.up.weight_scale_inv", 1, 1, dtype="F32"),
            ],
        ),
        (
            {"quant_method": "mxfp4"},
            [
                tensor("model.layers.0.up_blocks", 8, 8, dtype="U8"),
                tensor("model.layers.0.up_scales", 8, 1, dtype="U8"),
            ],
        ),
    ],
    ids=["gptq", "compressed-tensors", "fp8", "mxfp4"],
)
def test_a_quantised_layer_stands_for_as_many_weights_and_takes_the_bytes_it_is_stored_in(
    quantised: dict[str, Any], stored: list[Tensor]
) -> None:
    shape = from_files({**CONFIG, "quantization_config": quantised}, [*dense(), *stored])
    plain = from_files(CONFIG, dense())
    assert shape is not None
    assert plain is not None
    assert shape.parameters == plain.parameters + 8 * 16
    assert shape.total_bytes() == 2 * plain.parameters + sum(t.bytes for t in stored)
    assert shape.read_bytes() == shape.total_bytes() - 2 * 800
    assert shape.total_bytes("bfloat16") == shape.total_bytes(), "a dtype does not undo a quantisation"


def test_layers_that_predict_further_tokens_are_not_the_models_own() -> None:
    extra = [tensor("model.layers.2.up.weight", 8, 16), tensor("mtp.fc.weight", 8, 16)]
    with_them, without = from_files(CONFIG, [*dense(), *extra]), from_files(CONFIG, dense())
    assert with_them == without


def test_kinds_of_layers_decide_what_is_kept() -> None:
    kinds = ["full_attention", "sliding_attention"]
    sliding = from_files({**CONFIG, "layer_types": kinds, "sliding_window": 16}, dense())
    assert sliding is not None
    assert (sliding.sliding_layers, sliding.sliding_window) == (1, 16)
    linear = from_files({**CONFIG, "layer_types": ["linear_attention", "full_attention"]}, dense())
    assert linear is not None
    assert linear.kv_bytes(10) == linear.kv_bytes(5) * 2 == 2 * 2 * 2 * 2 * 10
    latent = from_files({**CONFIG, "kv_lora_rank": 512, "qk_rope_head_dim": 64}, dense())
    assert latent is not None
    assert latent.kv_bytes(1, tensor_parallel=8) == 2 * 576 * 2, "every rank keeps the whole latent"


def test_an_index_without_its_files_gives_the_size_that_it_states(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "torch_dtype": "bfloat16"}))
    index = {"metadata": {"total_size": 2_000_000}, "weight_map": {}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    shape = shape_of(str(tmp_path), directory=tmp_path)
    assert shape is not None
    assert shape.parameters == 1_000_000


def test_files_that_are_not_at_hand_are_answered_by_the_table_and_marked() -> None:
    name = "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B"
    shape = shape_of(name, directory=None)
    assert shape == known_shapes()[name]
    assert "offline table" in shape.source
    assert shape_of("nobody/unknown", directory=None) is None
    facts = known_facts(name)
    assert facts is not None
    assert (facts.heads, facts.parameters) == (40, 14770033664)


@pytest.mark.parametrize("broken", [b"", b"12345678", b"\xff" * 64, (2).to_bytes(8, "little") + b"{}{}"])
def test_a_weights_file_that_is_none_is_refused_with_its_path(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(broken)
    if broken.endswith(b"{}{}"):
        assert tensors_of(tmp_path) == ()
        return
    with pytest.raises(UsageError, match=r"model\.safetensors"):
        tensors_of(tmp_path)


def test_a_config_that_lacks_the_shape_is_no_shape(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert shape_of(str(tmp_path), directory=tmp_path) is None
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UsageError, match="not a JSON object"):
        shape_of(str(tmp_path), directory=tmp_path)


@pytest.mark.parametrize("model", known_shapes())
def test_shapes_of_the_table_add_up(model: str) -> None:
    shape = known_shapes()[model]
    assert shape.heads % shape.kv_heads == 0
    assert 0 <= shape.embedding_parameters < shape.parameters
    assert (shape.embedding_parameters == 0) == shape.tied
    assert shape.experts_per_token <= shape.experts
    assert 0 < shape.active_parameters <= shape.parameters
    assert 0 < shape.read_bytes() <= shape.total_bytes()


def test_a_published_length_has_a_source_and_lies_below_its_cap() -> None:
    found = published_length("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "math500")
    assert found is not None
    assert (found.tokens, found.cap) == (4887, 16384)
    assert "2505.13417" in found.source
    assert published_length("simplescaling/s1.1-7B", "math500") is None
    assert published_length("/models/DeepSeek-R1-Distill-Qwen-1.5B/", "math500") == found, "a directory called so"
    assert published_length("/models/mine", "math500") is None
