"""A model's shape, as far as memory, bandwidth and arithmetic depend on it: bytes of weights and of KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tts_compare.domain.about import about

BYTES_PER_WEIGHT = {
    "float32": 4.0,
    "float": 4.0,
    "float16": 2.0,
    "half": 2.0,
    "bfloat16": 2.0,
    "float8": 1.0,
    "fp8": 1.0,
    "fp8_e4m3": 1.0,
    "fp8_e5m2": 1.0,
    "int8": 1.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A decoder-only transformer.

    Counts of parameters are of distinct weights: tied embeddings count once, scales and zero points of a
    quantisation not at all. ``*_bytes`` are those of the stored weights, scales included.
    """

    parameters: Annotated[
        int, about("all weights, those of every expert included, without layers for multi-token prediction")
    ]
    embedding_parameters: Annotated[
        int,
        about(
            "the input embedding, of which a token reads one row; 0 where the output head shares it (tied embeddings)"
        ),
    ]
    layers: Annotated[int, about("transformer layers")]
    hidden_size: Annotated[int, about("width of the residual stream")]
    heads: Annotated[int, about("attention heads")]
    kv_heads: Annotated[int, about("heads of keys and values (grouped-query attention)")]
    head_dim: Annotated[int, about("width of one head")]
    vocab: Annotated[int | None, about("entries of the vocabulary")] = None
    max_positions: Annotated[int | None, about("the longest sequence, in tokens")] = None
    dtype: Annotated[str, about("type of the weights that are not quantised")] = "bfloat16"
    tied: Annotated[bool, about("whether the output head is the input embedding")] = False
    expert_parameters: Annotated[int, about("weights of all experts of a mixture of experts; 0 for a dense model")] = 0
    experts: Annotated[int, about("experts of a layer that a router chooses from")] = 0
    experts_per_token: Annotated[int, about("experts that one token uses")] = 0
    weight_bytes: Annotated[
        int | None,
        about("bytes of all weights where they are quantised; None where they are `parameters` x the dtype's width"),
    ] = None
    embedding_bytes: Annotated[
        int, about("bytes of the input embedding of a quantised model; 0 for tied embeddings")
    ] = 0
    expert_bytes: Annotated[int, about("bytes of all experts of a quantised model")] = 0
    kv_latent: Annotated[
        int | None,
        about("elements a token and layer keep under multi-head latent attention; None for keys and values a head"),
    ] = None
    sliding_layers: Annotated[int, about("layers that attend to the last `sliding_window` tokens alone")] = 0
    sliding_window: Annotated[int, about("width of that window, in tokens")] = 0
    stateless_layers: Annotated[int, about("layers without a KV cache (linear attention, state-space)")] = 0
    source: Annotated[str, about("where the figures come from, in words")] = ""
    reasons: Annotated[bool | None, about("whether it thinks before it answers; None where that is not known")] = None

    def width(self, dtype: str) -> float:
        """Bytes of one weight when the engine is told ``dtype``; ``auto`` keeps the checkpoint's.

        Weights stored as float32 are loaded as 16 bits on a GPU by both engines, which is what ``auto`` means here.
        """
        if dtype == "auto":
            return BYTES_PER_WEIGHT["float16" if self.dtype in ("float32", "float") else "bfloat16"]
        return BYTES_PER_WEIGHT.get(dtype, 2.0)

    def total_bytes(self, dtype: str = "auto") -> float:
        """Bytes of all weights in memory, over all ranks of one replica."""
        return self.parameters * self.width(dtype) if self.weight_bytes is None else float(self.weight_bytes)

    def read_bytes(self, dtype: str = "auto", *, tokens: int = 1) -> float:
        """Bytes of weights that one step over ``tokens`` tokens reads, over all ranks.

        All but the input embedding. Of experts, those that are expected to be chosen by at least one token when
        the router chooses evenly: experts x (1 - (1 - chosen / experts) ^ tokens).
        """
        stored = self.weight_bytes is not None
        width = self.width(dtype)
        embedding = self.embedding_bytes if stored else self.embedding_parameters * width
        experts = self.expert_bytes if stored else self.expert_parameters * width
        idle = (1 - self.experts_per_token / self.experts) ** tokens if self.experts else 0.0
        return self.total_bytes(dtype) - embedding - experts * idle

    @property
    def active_parameters(self) -> float:
        """Weights one token is multiplied with: all but the input embedding and the experts not chosen."""
        idle = 1 - self.experts_per_token / self.experts if self.experts else 0.0
        return self.parameters - self.embedding_parameters - self.expert_parameters * idle

    def kv_bytes(self, tokens: float, *, tensor_parallel: int = 1, width: float = 2.0) -> float:
        """Bytes of KV cache that ``tokens`` tokens of one sequence take on one rank, over all layers.

        2 x layers x max(1, KV heads / tensor parallel) x head width x ``width`` bytes an element: beyond the number
        of KV heads, ranks hold copies. Sliding layers keep no more than their window. Latent attention keeps the
        whole latent on every rank.
        """
        full = self.layers - self.sliding_layers - self.stateless_layers
        per_layer = 2 * max(1.0, self.kv_heads / tensor_parallel) * self.head_dim
        if self.kv_latent is not None:
            per_layer = self.kv_latent
        seen = full * tokens + self.sliding_layers * min(tokens, self.sliding_window)
        return per_layer * width * seen
