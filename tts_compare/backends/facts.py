"""What a machine and a model are, as far as a setting can depend on it; and reading a model's ``config.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tts_compare.domain import Device

BYTES_PER_WEIGHT = {"float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2, "float8": 1, "int8": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of a cluster's allocation.

    name: the cluster's. cores: how many servers may use. devices: its GPUs, 0 on a CPU. The rest as in ``Machine``.
    """

    name: str
    cores: int
    devices: int = 0
    memory_bytes: int
    cpu_model: str = ""
    features: tuple[str, ...] = ()
    gpu_names: tuple[str, ...] = ()
    gpu_memory_bytes: int | None = None
    driver: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where servers would run.

    devices: GPUs that may be used, on a CPU the usable cores. cores: ids of the usable cores (affinity, capped by
    the container's quota). memory_bytes: main memory, capped by the container. gpu_memory_bytes: of the smallest GPU.
    features: CPU instruction sets that decide how fast a dtype is: ``avx2``, ``avx512_bf16``, ``amx_bf16``.
    nodes: of an allocation, whose devices and cores are counted together; empty for one machine. partition, job: of
    the allocation, by the cluster's names.
    """

    device: Device
    devices: int
    memory_bytes: int
    cores: tuple[int, ...] = ()
    cpu_model: str = ""
    features: tuple[str, ...] = ()
    gpu_names: tuple[str, ...] = ()
    gpu_memory_bytes: int | None = None
    driver: str | None = None
    nodes: tuple[Node, ...] = ()
    partition: str | None = None
    job: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A model's shape. ``parameters`` is a count; ``max_position`` is in tokens; None where unknown.

    active_parameters: those that one token passes through. None where the size of the weight files does not tell them:
    for quantised weights, which take fewer bytes than their dtype says, and for mixtures of experts. mtp_layers: layers
    for multi-token prediction, 0 where the configuration names none, None where there is no configuration.
    """

    architecture: str = ""
    hidden_size: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    max_position: int | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    dtype: str | None = None
    vocab: int | None = None
    mtp_layers: int | None = None

    def kv_bytes_per_token(self, dtype: str) -> int | None:
        """Bytes of keys and values one token takes: 2 x layers x KV heads x head_dim x bytes of ``dtype``."""
        if not (self.layers and self.kv_heads and self.head_dim):
            return None
        return 2 * self.layers * self.kv_heads * self.head_dim * BYTES_PER_WEIGHT.get(dtype, 2)


_MTP = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "mtp_num_layers")


def model_facts(config: Mapping[str, Any], weight_bytes: int | None = None) -> ModelFacts:
    """Facts from a parsed ``config.json`` and, for the number of parameters, the size of the weight files.

    Without ``weight_bytes`` the number of parameters is None: no formula over architectures is tried.
    """
    text = config.get("text_config")
    shape: Mapping[str, Any] = text if isinstance(text, Mapping) else config
    heads = _count(shape, "num_attention_heads", "n_head")
    hidden = _count(shape, "hidden_size", "n_embd")
    head_dim = _count(shape, "head_dim")
    if head_dim is None and heads and hidden:
        head_dim = hidden // heads
    layers = _count(shape, "num_hidden_layers", "n_layer")
    dtype = next((v for v in (config.get("dtype"), config.get("torch_dtype"), shape.get("dtype")) if v), None)
    dtype = str(dtype).removeprefix("torch.") if dtype else None
    architectures = config.get("architectures") or ("",)
    parameters = weight_bytes // BYTES_PER_WEIGHT.get(dtype or "", 2) if weight_bytes else None
    return ModelFacts(
        architecture=str(architectures[0]),
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        kv_heads=_count(shape, "num_key_value_heads") or heads,
        head_dim=head_dim,
        max_position=_max_position(shape),
        parameters=parameters,
        active_parameters=None if _is_partly_used(config, shape) else parameters,
        dtype=dtype,
        vocab=_count(shape, "vocab_size"),
        mtp_layers=(_count(shape, *_MTP) or 0) if layers else None,
    )


def _is_partly_used(config: Mapping[str, Any], shape: Mapping[str, Any]) -> bool:
    """Whether weights are quantised, or a token passes through some of the experts only."""
    quantised = any(
        part.get(name) for part in (config, shape) for name in ("quantization_config", "compression_config")
    )
    experts = any(_count(shape, name) for name in ("num_experts", "num_local_experts", "n_routed_experts"))
    return quantised or experts


def _count(shape: Mapping[str, Any], *names: str) -> int | None:
    value = next((shape[name] for name in names if isinstance(shape.get(name), int)), None)
    return value if value and value > 0 else None


def _max_position(shape: Mapping[str, Any]) -> int | None:
    """The longest sequence: the trained length, stretched by the rope scalings that engines stretch it by."""
    trained = _count(shape, "max_position_embeddings", "n_positions")
    scaling = shape.get("rope_scaling") or shape.get("rope_parameters")
    if trained is None or not isinstance(scaling, Mapping):
        return trained
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    factor = scaling.get("factor")
    if kind not in ("yarn", "linear", "dynamic") or not isinstance(factor, int | float):
        return trained
    original = scaling.get("original_max_position_embeddings")
    return math.floor((original if isinstance(original, int) else trained) * factor)
