"""How near each measured point of a run is to its bound, and what is left over. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tts_compare.domain import RunWarning
from tts_compare.domain.model_shape import ModelShape
from tts_compare.limits.pacing import Concurrent, parse_load
from tts_compare.machine.catalogue import Accelerator
from tts_compare.machine.roofline import ALL_REDUCE_S, DecodeStep, Drafts, Layout, decode_step, prefill_s
from tts_compare.machine.share import Overhead, Reached, fixed_overhead, prefill_share, reached, share_warning
from tts_compare.plan.arguments import kv_width
from tts_compare.plan.earlier import EarlierPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class PointShare:
    """A point of a run beside the bound of its setting."""

    point: EarlierPoint
    """The point."""
    decode: Reached
    """Its time per output token against the least one."""
    binding: str
    """The resource that takes the largest part of its step."""
    prefill: float | None
    """Least time of its prefill / time to first token; None without either."""
    overhead: Overhead | None
    """The fit over the points of its model and engine without speculation; None where their bounds hardly differ."""
    warning: RunWarning | None
    """Where the bound is exceeded."""


def shares(
    points: Sequence[EarlierPoint],
    shapes: Mapping[str, ModelShape | None],
    devices: Mapping[str, Accelerator | None],
) -> Iterator[PointShare]:
    """The share of each point whose bound can be computed.

    devices: by setting id, what each rank of it had. Left out are points without a measured time per token, of an
    open loop (whose batch is not known), or of a model or device that nobody knows.
    """
    steps = {}
    for index, point in enumerate(points):
        shape, device = shapes.get(point.model), devices.get(point.setting)
        step = step_of(point, shape, device) if shape and device else None
        if step is not None and point.token_s:
            steps[index] = step
    for index, step in steps.items():
        point = points[index]
        alike = [i for i in steps if _of_one_fit(points[i], point)]
        fitted = fixed_overhead([(steps[i].seconds, (points[i].token_s or 0.0) * steps[i].tokens) for i in alike])
        ranks = point.tensor_parallel * point.pipeline_parallel * point.data_parallel
        near = reached(step, measured_s=point.token_s or 0.0, devices=ranks, sequences=_sequences(point) or 1)
        shape, device = shapes[point.model], devices[point.setting]
        yield PointShare(
            point=point,
            decode=near,
            binding=step.binding,
            prefill=_prefill(point, shape, device) if shape and device else None,
            overhead=fitted,
            warning=share_warning(near, setting=point.setting, on_cpu=point.device == "cpu"),
        )


def step_of(
    point: EarlierPoint, shape: ModelShape, device: Accelerator, *, all_reduce_s: float = ALL_REDUCE_S
) -> DecodeStep | None:
    """The step that bounds a measured point: half-way through its mean answer, at the batch of its closed loop.

    all_reduce_s: time of one all-reduce between its ranks. None for an open loop, and for speculation whose accepted
    length was not measured.
    """
    sequences = _sequences(point)
    if sequences is None or (point.draft_tokens and point.accepted_length is None):
        return None
    drafts = Drafts(tokens=point.draft_tokens, accepted_length=(point.accepted_length or 1.0))
    return decode_step(
        shape,
        device,
        layout=replace(_layout(point), all_reduce_s=all_reduce_s),
        context=(point.prompt_tokens or 0.0) + (point.tokens or 0.0) / point.samples / 2,
        batch=-(-sequences // point.data_parallel),
        drafts=drafts if point.draft_tokens else None,
    )


def _of_one_fit(one: EarlierPoint, point: EarlierPoint) -> bool:
    """Verifying drafts takes arithmetic that is no fixed time, so speculation is in no fit."""
    return (one.model, one.backend) == (point.model, point.backend) and not one.draft_tokens


def _sequences(point: EarlierPoint) -> int | None:
    load = parse_load(point.load)
    return load.n * max(point.side_by_side, point.samples) if isinstance(load, Concurrent) else None


def _layout(point: EarlierPoint) -> Layout:
    dtype = "float32" if (point.dtype, point.device) == ("auto", "cpu") else point.dtype
    return Layout(
        tensor_parallel=point.tensor_parallel,
        pipeline_parallel=point.pipeline_parallel,
        dtype=dtype,
        kv_width=kv_width(dtype, point.kv_dtype),
    )


def _prefill(point: EarlierPoint, shape: ModelShape, device: Accelerator) -> float | None:
    if not point.ttft_s or not point.prompt_tokens:
        return None
    return prefill_share(prefill_s(shape, device, layout=_layout(point), tokens=point.prompt_tokens), point.ttft_s)
