"""A model's shape, as far as memory, bandwidth and arithmetic depend on it: bytes of weights and of KV cache."""

from __future__ import annotations

from dataclasses import dataclass

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

    parameters: int
    """All weights, those of every expert included, without layers for multi-token prediction."""
    embedding_parameters: int
    """The input embedding, of which a token reads one row; 0 where the output head shares it (tied embeddings)."""
    layers: int
    """Transformer layers."""
    hidden_size: int
    """Width of the residual stream."""
    heads: int
    """Attention heads."""
    kv_heads: int
    """Heads of keys and values (grouped-query attention)."""
    head_dim: int
    """Width of one head."""
    vocab: int | None = None
    """Entries of the vocabulary."""
    max_positions: int | None = None
    """The longest sequence, in tokens."""
    dtype: str = "bfloat16"
    """Type of the weights that are not quantised."""
    tied: bool = False
    """Whether the output head is the input embedding."""
    expert_parameters: int = 0
    """Weights of all experts of a mixture of experts; 0 for a dense model."""
    experts: int = 0
    """Experts of a layer that a router chooses from."""
    experts_per_token: int = 0
    """Experts that one token uses."""
    weight_bytes: int | None = None
    """Bytes of all weights where they are quantised; None where they are ``parameters`` x the dtype's width."""
    embedding_bytes: int = 0
    """Bytes of the input embedding of a quantised model; 0 for tied embeddings."""
    expert_bytes: int = 0
    """Bytes of all experts of a quantised model."""
    kv_latent: int | None = None
    """Elements a token and layer keep under multi-head latent attention; None for keys and values a head."""
    sliding_layers: int = 0
    """Layers that attend to the last ``sliding_window`` tokens alone."""
    sliding_window: int = 0
    """Width of that window, in tokens."""
    stateless_layers: int = 0
    """Layers without a KV cache (linear attention, state-space)."""
    source: str = ""
    """Where the figures come from, in words."""
    reasons: bool | None = None
    """Whether it thinks before it answers; None where that is not known."""

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
