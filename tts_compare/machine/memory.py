"""Whether a model fits a machine: weights, draft model, KV cache, and the share of memory an engine takes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tts_compare.domain.model_shape import ModelShape
from tts_compare.machine.catalogue import Accelerator
from tts_compare.machine.roofline import Layout

#: Bytes of a device that neither hold weights nor KV cache (activations, CUDA graphs, communication buffers), where
#: the engine's share includes them: an assumption.
WORKSPACE_BYTES = 2e9
_GB = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The part of a device's memory that an engine takes."""

    of_memory: float
    """Between 0 and 1."""
    workspace_bytes: float = WORKSPACE_BYTES
    """What of it is neither weights nor KV cache."""
    source: str = ""
    """Where the share comes from, in words."""
    is_guess: bool = False
    """Whether nobody looked it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What the work needs of the KV cache."""

    max_model_len: int
    """The longest sequence, in tokens: an engine that cannot hold one does not start."""
    sequences: int
    """Sequences at once that the batch limit and the load allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Whether a server starts, and how much KV cache it has."""

    fits: bool
    """Whether weights, draft and one sequence of full length fit."""
    reason: str | None
    """Why it does not, with the figures; None where it does."""
    weight_bytes: float
    """Weights and draft model on one device."""
    kv_tokens: int
    """Tokens of KV cache over the ranks of one replica; 0 where the weights leave no room."""
    warning: str | None = None
    """Why the sequences at once cannot all reach full length: the engine would preempt some or let them wait."""


def fit(
    shape: ModelShape,
    device: Accelerator,
    *,
    layout: Layout,
    share: Share,
    demand: Demand,
    draft: ModelShape | None = None,
) -> Fit:
    """Weights and KV cache against the engine's share of one device.

    KV tokens = (share x memory - (weights + draft) / ranks - workspace) / (KV bytes of a token on a rank / stages).
    """
    tp, pp = layout.tensor_parallel, layout.pipeline_parallel
    weights = shape.total_bytes(layout.dtype) / (tp * pp)
    drafted = draft.total_bytes(layout.dtype) / tp if draft else 0.0
    taken = share.of_memory * device.memory_bytes
    room = taken - weights - drafted - share.workspace_bytes
    per_token = _kv_per_token(shape, layout, demand) + (_kv_per_token(draft, layout, demand) * pp if draft else 0.0)
    tokens = int(room / per_token) if room > 0 and per_token else 0
    have = f"{share.of_memory:.1%} of {device.memory_bytes / _GB:g} GB is {taken / _GB:.1f} GB"
    need = f"weights take {weights / _GB:.1f} GB" + (f", the draft model {drafted / _GB:.1f} GB" if draft else "")
    reason, warning = None, None
    if room <= 0:
        work = f" and working memory {share.workspace_bytes / _GB:.1f} GB" if share.workspace_bytes else ""
        reason = f"{need}{work} of a device; {have}"
    elif per_token and tokens < demand.max_model_len:
        reason = (
            f"{need}, and what is left holds {tokens:,} tokens of KV cache, fewer than one sequence of "
            f"{demand.max_model_len:,} ({have})"
        )
    elif per_token and tokens < demand.max_model_len * demand.sequences:
        warning = (
            f"the KV cache holds {tokens:,} tokens, {tokens / demand.max_model_len:.1f} of {demand.sequences} "
            f"sequences of {demand.max_model_len:,}: beyond that the engine lets sequences wait or preempts them"
        )
    return Fit(fits=reason is None, reason=reason, warning=warning, weight_bytes=weights + drafted, kv_tokens=tokens)


def _kv_per_token(shape: ModelShape, layout: Layout, demand: Demand) -> float:
    """Bytes a token takes on one device, averaged over a sequence of full length (sliding layers keep less)."""
    whole = shape.kv_bytes(demand.max_model_len, tensor_parallel=layout.tensor_parallel, width=layout.kv_width)
    return whole / demand.max_model_len / layout.pipeline_parallel
