"""A model's shape from its files: config.json for the layers, safetensors headers for the true counts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tts_compare.backends import model_facts
from tts_compare.domain.model_shape import BYTES_PER_WEIGHT, ModelShape
from tts_compare.errors import UsageError
from tts_compare.models.known import known_shapes
from tts_compare.models.tensors import Tensor, index_size, tensors_of

_EMBEDDING = re.compile(r"(embed_tokens|wte|word_embeddings|tok_embeddings)\.weight$")
_HEAD = re.compile(r"(^|\.)(lm_head|output|embed_out)\.weight$")
_EXPERT = re.compile(r"\.experts?\.")
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_FLOATS = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
_CHOSEN = ("num_experts_per_tok", "experts_per_token", "num_experts_per_token")


def shape_of(model: str, *, directory: Path | None) -> ModelShape | None:
    """The shape of a model: of its directory, else of the table of published ones; None where neither knows it.

    directory: where its files are, None where they are not at hand. ``source`` of the result says which it was. Raises
    UsageError for files that cannot be read.
    """
    if directory is not None and (directory / "config.json").is_file():
        found = _from_directory(directory)
        if found is not None:
            return found
    return known_shapes().get(model)


def from_files(
    config: Mapping[str, Any], tensors: Sequence[Tensor], *, stored_bytes: int | None = None
) -> ModelShape | None:
    """A parsed config.json and the stored tensors. None where the config lacks what a shape needs.

    stored_bytes: of all weights, where the tensors themselves are not at hand (an index without its files, or
    ``*.bin``): the count is then that many bytes over the width of the dtype, and of experts and quantisation nothing
    is known.
    """
    facts = model_facts(config)
    if not (facts.layers and facts.hidden_size and facts.heads and facts.kv_heads and facts.head_dim):
        return None
    text = config["text_config"] if isinstance(config.get("text_config"), Mapping) else config
    tied = bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", False)))
    counted = _counted(config, tensors, layers=facts.layers, tied=tied)
    if counted is None:
        width = BYTES_PER_WEIGHT.get(facts.dtype or "", 2.0)
        embedding = 0 if tied else (facts.vocab or 0) * facts.hidden_size
        if stored_bytes is None or config.get("quantization_config"):
            return None
        counted = {"parameters": int(stored_bytes / width), "embedding_parameters": embedding, "tied": tied}
    full, sliding, stateless = _kinds_of_layers(text, facts.layers)
    return ModelShape(
        layers=full + sliding + stateless,
        hidden_size=facts.hidden_size,
        heads=facts.heads,
        kv_heads=facts.kv_heads,
        head_dim=facts.head_dim,
        vocab=facts.vocab,
        max_positions=facts.max_position,
        experts=_first(text, _EXPERTS),
        experts_per_token=_first(text, _CHOSEN),
        kv_latent=_latent(text),
        sliding_layers=sliding,
        sliding_window=_first(text, ("sliding_window",)),
        stateless_layers=stateless,
        source="config.json and the headers of its safetensors"
        if tensors
        else "config.json and the size of its weights",
        **{"dtype": facts.dtype or "bfloat16", **counted},
    )


def _from_directory(directory: Path) -> ModelShape | None:
    try:
        config = json.loads((directory / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{directory / 'config.json'} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise UsageError(f"{directory / 'config.json'} is not a JSON object")
    tensors = tensors_of(directory)
    binary = sum(file.stat().st_size for file in directory.glob("*.bin")) or None
    stated = index_size(directory)
    if stated is not None and sum(tensor.bytes for tensor in tensors) < stated:
        tensors = ()  # only some of the files are here
    return from_files(config, tensors, stored_bytes=stated or binary)


def _counted(config: Mapping[str, Any], tensors: Sequence[Tensor], *, layers: int, tied: bool) -> dict[str, Any] | None:
    """The fields of a shape that are counted; None without tensors."""
    if not tensors:
        return None
    quantised = config.get("quantization_config")
    bits = _bits(quantised) if isinstance(quantised, Mapping) else None
    # Layers beyond the model's own predict further tokens; engines load them for that alone.
    own = [t for t in tensors if not t.name.startswith("mtp.") and not _beyond(t.name, layers)]
    has_head = any(_HEAD.search(t.name) for t in own)
    shared = tied or (not has_head and any(_EMBEDDING.search(t.name) for t in own))
    kept = [t for t in own if not (shared and _HEAD.search(t.name))]

    def parameters(of: Callable[[str], object]) -> int:
        return sum(t.parameters(bits=bits) for t in kept if of(t.name))

    def stored(of: Callable[[str], object]) -> int:
        return sum(t.bytes for t in kept if of(t.name))

    fields: dict[str, Any] = {
        "parameters": parameters(lambda _: True),
        "embedding_parameters": 0 if shared else parameters(_EMBEDDING.search),
        "expert_parameters": parameters(_EXPERT.search),
        "tied": shared,
    }
    floats = {_FLOATS[t.dtype] for t in kept if t.dtype in _FLOATS}
    if quantised or any(t.dtype not in _FLOATS for t in kept):
        return fields | {
            "weight_bytes": stored(lambda _: True),
            "embedding_bytes": 0 if shared else stored(_EMBEDDING.search),
            "expert_bytes": stored(_EXPERT.search),
        }
    return fields | ({"dtype": floats.pop()} if len(floats) == 1 else {})


def _bits(quantised: Mapping[str, Any]) -> int | None:
    """Bits of a packed weight as the usual kinds of ``quantization_config`` say it."""
    if isinstance(bits := quantised.get("bits", quantised.get("w_bit")), int):
        return bits
    if quantised.get("load_in_8bit"):
        return 8
    groups = quantised.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if isinstance(weights, Mapping) and isinstance(weights.get("num_bits"), int):
            return int(weights["num_bits"])
    return None


def _kinds_of_layers(text: Mapping[str, Any], layers: int) -> tuple[int, int, int]:
    """Layers that attend to everything, to a window, and to a state without a KV cache."""
    kinds = text.get("layer_types")
    if isinstance(kinds, list) and len(kinds) == layers:
        sliding = sum(kind in ("sliding_attention", "chunked_attention") for kind in kinds)
        stateless = sum("linear" in str(kind) or "mamba" in str(kind) for kind in kinds)
        return layers - sliding - stateless, sliding if _first(text, ("sliding_window",)) else 0, stateless
    if text.get("model_type") == "mistral" and _first(text, ("sliding_window",)):
        return 0, layers, 0
    return layers, 0, 0


def _latent(text: Mapping[str, Any]) -> int | None:
    rank, rope = _first(text, ("kv_lora_rank",)), _first(text, ("qk_rope_head_dim",))
    return rank + rope if rank else None


def _beyond(name: str, layers: int) -> bool:
    match = _LAYER.search(name)
    return match is not None and int(match[1]) >= layers


def _first(config: Mapping[str, Any], names: Sequence[str]) -> int:
    found = (config[name] for name in names if isinstance(config.get(name), int))
    return next((value for value in found if value > 0), 0)
