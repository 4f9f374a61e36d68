"""The least time a decode step and a prefill can take on a machine, from bandwidth, arithmetic and communication.

Per rank: (bytes of weights / TP + KV cache it reads) / bandwidth + 2 x layers x time of an all-reduce, or the time of
its arithmetic where that is longer. What engines add (launching kernels, scheduling, sampling) is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tts_compare.domain.model_shape import ModelShape
from tts_compare.machine.catalogue import Accelerator

#: Seconds of one all-reduce of a token's activations between devices of a node: an assumption, not measured.
ALL_REDUCE_S = 5e-6
_ALL_REDUCES = 2  # a layer: after attention, after the feed-forward block

Resource = Literal["weights", "KV cache", "arithmetic", "communication"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a model is spread and stored."""

    tensor_parallel: int = 1
    """Ranks that share each layer."""
    pipeline_parallel: int = 1
    """Stages that share the layers."""
    dtype: str = "auto"
    """Type of weights as the engine is told; ``auto`` is the checkpoint's."""
    kv_width: float = 2.0
    """Bytes of an element of the KV cache."""
    all_reduce_s: float = ALL_REDUCE_S
    """Time of one all-reduce between the ranks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """Speculative decoding: what a step proposes and what comes of it."""

    tokens: int = 0
    """Draft tokens of a step; 0 without speculation."""
    accepted_length: float = 1.0
    """Tokens a step yields on average: 1 + accepted drafts."""
    shape: ModelShape | None = None
    """The draft model, where there is one and its shape is known; it is read once a draft token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeStep:
    """The least duration of one decode step, and what makes it up, in seconds."""

    weights_s: float
    """Reading the weights."""
    kv_s: float
    """Reading the KV cache."""
    arithmetic_s: float
    """The arithmetic, which runs while memory is read; 0 where the device's peak is unknown."""
    communication_s: float
    """All-reduces between ranks and hops between stages."""
    draft_s: float
    """The draft model's own steps."""
    tokens: float
    """Tokens that each sequence gains in the step."""

    @property
    def seconds(self) -> float:
        """The step: the longer of memory and arithmetic, then communication, then the drafts."""
        return max(self.weights_s + self.kv_s, self.arithmetic_s) + self.communication_s + self.draft_s

    @property
    def seconds_per_token(self) -> float:
        """The least time per output token of one sequence."""
        return self.seconds / self.tokens

    @property
    def binding(self) -> Resource:
        """The resource that takes the largest part."""
        if self.arithmetic_s > self.weights_s + self.kv_s:
            parts: dict[Resource, float] = {"arithmetic": self.arithmetic_s}
        else:
            parts = {"weights": self.weights_s, "KV cache": self.kv_s}
        return max({**parts, "communication": self.communication_s}.items(), key=lambda part: part[1])[0]


def decode_step(
    shape: ModelShape,
    device: Accelerator,
    *,
    layout: Layout,
    context: float,
    batch: int = 1,
    drafts: Drafts | None = None,
) -> DecodeStep:
    """The least duration of a step in which ``batch`` sequences of ``context`` tokens each gain tokens.

    With pipeline stages a sequence passes all of them, and each stage works on its share of the batch at a time.
    Raises ValueError for a batch or a context below what a step can have.
    """
    if batch < 1 or context < 0:
        raise ValueError(f"a step has at least one sequence of at least 0 tokens, not {batch} of {context}")
    drafts = drafts or Drafts()
    at_once = -(-batch // layout.pipeline_parallel)
    verified = at_once * (drafts.tokens + 1)
    tp = layout.tensor_parallel
    weights = shape.read_bytes(layout.dtype, tokens=verified) / tp
    kv = at_once * shape.kv_bytes(context, tensor_parallel=tp, width=layout.kv_width)
    peak = _peak(shape, device, layout)
    attention = 4 * shape.layers * shape.heads * shape.head_dim * context
    work = verified * (2 * shape.active_parameters + attention) / tp
    hops = (layout.pipeline_parallel - 1) * layout.all_reduce_s
    reduces = _ALL_REDUCES * shape.layers * layout.all_reduce_s if tp > 1 else 0.0
    return DecodeStep(
        weights_s=weights / device.bandwidth_bytes_s,
        kv_s=kv / device.bandwidth_bytes_s,
        arithmetic_s=work / peak if peak else 0.0,
        communication_s=reduces + hops,
        draft_s=_draft_s(drafts, device, layout, context, at_once),
        tokens=drafts.accepted_length,
    )


def prefill_s(shape: ModelShape, device: Accelerator, *, layout: Layout, tokens: float) -> float:
    """The least time until a prompt of ``tokens`` tokens has been read: its arithmetic, or reading the weights once.

    2 x active parameters x tokens / (TP x peak); attention within the prompt is omitted, which keeps it a lower bound.
    """
    reading = decode_step(shape, device, layout=layout, context=0).seconds
    peak = _peak(shape, device, layout)
    if not peak:
        return reading
    return max(reading, 2 * shape.active_parameters * tokens / (layout.tensor_parallel * peak))


def _peak(shape: ModelShape, device: Accelerator, layout: Layout) -> float | None:
    """The peak of the arithmetic: 8 bits where quantised weights may use it, so that the bound stays one.

    ``auto`` computes in 16 bits, weights stored as float32 too.
    """
    if shape.weight_bytes is not None:
        return device.flops("fp8")
    return device.flops("bfloat16" if layout.dtype == "auto" else layout.dtype)


def _draft_s(drafts: Drafts, device: Accelerator, layout: Layout, context: float, batch: int) -> float:
    if drafts.shape is None or not drafts.tokens:
        return 0.0
    one = decode_step(drafts.shape, device, layout=layout, context=context, batch=batch)
    return drafts.tokens * one.seconds
