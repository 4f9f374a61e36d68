"""A Llama model in a GGUF file -> a Hugging Face directory, with numpy alone.

Through transformers and torch the same takes a minute or more, most of it imports. Here the weights are
dequantised (Q4_1, Q8_0: packages ``gguf``), put back into Hugging Face's row order and stored as bfloat16, the
published model's own type. Row order: llama.cpp stores each head's query and key rows with the two halves of the
rotary embedding interleaved (its convert_hf_to_gguf.py, ``permute``); Hugging Face keeps the halves apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_compare.installer import safetensors

if TYPE_CHECKING:
    from gguf import GGUFReader, ReaderTensor

    from tts_compare.installer.safetensors import Weights

_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_CONTROL = 3  # a token type of GGUF: never to be read out of a text


def convert(source: Path, directory: Path) -> None:
    """Write config.json, the tokenizer and model.safetensors of the GGUF file ``source`` into ``directory``."""
    from gguf import GGUFReader

    reader = GGUFReader(source)
    config = _config(reader)
    _dump(directory / "config.json", config)
    _dump(directory / "generation_config.json", {k: config[k] for k in ("bos_token_id", "eos_token_id")})
    write_tokenizer(reader, directory)
    tensors = [(_hugging_face_name(t.name), t) for t in reader.tensors if not t.name.startswith("rope_")]
    shapes = {name: tuple(int(n) for n in reversed(t.shape.tolist())) for name, t in tensors}
    safetensors.write(directory / "model.safetensors", shapes, _weights(tensors, config))


def write_tokenizer(reader: GGUFReader, directory: Path) -> None:
    """tokenizer.json and tokenizer_config.json of a byte-level BPE that splits numbers into digits (``smollm``)."""
    kind, split = _field(reader, "tokenizer.ggml.model"), _field(reader, "tokenizer.ggml.pre")
    if (kind, split) != ("gpt2", "smollm"):
        raise ValueError(f"tokenizer {kind}/{split} is not the gpt2/smollm this module writes")
    tokens: list[str] = _field(reader, "tokenizer.ggml.tokens")
    types: list[int] = _field(reader, "tokenizer.ggml.token_type")
    merges: list[str] = _field(reader, "tokenizer.ggml.merges")
    special = [
        {"id": i, "content": token, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for i, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind == _CONTROL
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "post_processor": None,
        "decoder": byte_level | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in merges],
            **dict.fromkeys(("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")),
            **dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), False),
        },
    }
    _dump(directory / "tokenizer.json", whole)
    named = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    ids = {ours: _field(reader, f"tokenizer.ggml.{theirs}_token_id") for ours, theirs in named.items()}
    config = {
        # Not GPT2Tokenizer, which builds a pre-tokenizer of its own and would keep numbers whole.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": _field(reader, "llama.context_length"),
        "chat_template": _field(reader, "tokenizer.chat_template"),
        **{f"{name}_token": tokens[i] for name, i in ids.items()},
    }
    _dump(directory / "tokenizer_config.json", config)


def _config(reader: GGUFReader) -> dict[str, Any]:
    if (architecture := _field(reader, "general.architecture")) != "llama":
        raise ValueError(f"architecture {architecture} is not the llama this module converts")
    heads: int = _field(reader, "llama.attention.head_count")
    hidden: int = _field(reader, "llama.embedding_length")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "torch_dtype": "bfloat16",
        "hidden_size": hidden,
        "head_dim": hidden // heads,
        "num_attention_heads": heads,
        "num_key_value_heads": _field(reader, "llama.attention.head_count_kv"),
        "num_hidden_layers": _field(reader, "llama.block_count"),
        "intermediate_size": _field(reader, "llama.feed_forward_length"),
        "max_position_embeddings": _field(reader, "llama.context_length"),
        # GGUF holds float32: 9.999999747378752e-06 is the 1e-05 that was meant.
        "rms_norm_eps": float(f"{_field(reader, 'llama.attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_theta": float(_field(reader, "llama.rope.freq_base")),
        "vocab_size": _field(reader, "llama.vocab_size"),
        "bos_token_id": _field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": _field(reader, "tokenizer.ggml.eos_token_id"),
        "tie_word_embeddings": all(t.name != "output.weight" for t in reader.tensors),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
    }


def _weights(tensors: list[tuple[str, ReaderTensor]], config: dict[str, Any]) -> Iterator[tuple[str, Weights]]:
    import numpy as np
    from gguf import dequantize

    for name, tensor in tensors:
        values = np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if name.endswith("q_proj.weight"):
            values = rows_by_half(values, config["num_attention_heads"])
        elif name.endswith("k_proj.weight"):
            values = rows_by_half(values, config["num_key_value_heads"])
        yield name, values


def rows_by_half(values: Weights, heads: int) -> Weights:
    """Undo llama.cpp's interleaving of each head's rows: 0, h, 1, h+1, ... -> 0, 1, ..., h, h+1, ..."""
    rows, columns = values.shape
    return values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _hugging_face_name(name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    _, layer, part, suffix = name.split(".")
    return f"model.layers.{layer}.{_NAMES[part]}.{suffix}"


def _field(reader: GGUFReader, name: str) -> Any:
    field = reader.get_field(name)
    if field is None:
        raise ValueError(f"the GGUF file has no {name}")
    return field.contents()


def _dump(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
