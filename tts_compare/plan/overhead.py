"""Time of a decode step beyond its bound: measured on like hardware, else what a published speed-up implies. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tts_compare.domain import Setting
from tts_compare.machine.roofline import ALL_REDUCE_S, decode_step
from tts_compare.machine.share import fixed_overhead
from tts_compare.plan.bound_shares import step_of
from tts_compare.plan.design import Design, layout_of
from tts_compare.plan.earlier import EarlierPoint

#: With this much a step, tensor parallelism of 4 speeds a 14B model on GH200 up by 1.7, as arXiv:2509.19645 reports,
#: in place of the 3.1 that bandwidth alone would give.
PUBLISHED_OVERHEAD_S = 0.0047
_CPU_SLOWDOWN = 3.0


def overhead_of(setting: Setting, design: Design) -> tuple[float, str]:
    """Seconds a step takes beyond its bound at the high end, and a sentence that says where that comes from."""
    machine = design.machine
    if machine and machine.overhead_s is not None:
        return machine.overhead_s, f"a step takes {machine.overhead_s * 1e3:g} ms beyond the bound, as stated"
    own = setting.speculation.kind != "none"
    measured = [*_readings(setting, design, speculating=own)] or [*_readings(setting, design, speculating=False)]
    if measured:
        fitted = fixed_overhead(measured)
        if fitted is not None:
            mean = sum(bound for bound, _ in measured) / len(measured)
            seconds = max(0.0, fitted.step_s(mean) - mean)
        else:
            seconds = max(0.0, sum(taken - bound for bound, taken in measured) / len(measured))
        points = "1 point" if len(measured) == 1 else f"{len(measured)} points"
        return (
            seconds,
            f"a step takes {seconds * 1e3:.1f} ms beyond the bound in {points} of earlier runs on like hardware",
        )
    if setting.device == "cpu":
        return _of_cpu(setting, design)
    return PUBLISHED_OVERHEAD_S, (
        f"no run here has measured a step on such hardware; the high end adds {PUBLISHED_OVERHEAD_S * 1e3:g} ms, with "
        "which the bound gives the speed-up of 1.7 that arXiv:2509.19645 reports for a 14B model at TP 4 on GH200"
    )


def _of_cpu(setting: Setting, design: Design) -> tuple[float, str]:
    """A guess in proportion to the bound: engines are far from the bandwidth of a CPU, and by how much varies."""
    shape, device = design.shapes.get(setting.model), design.device_of(setting)
    if shape is None or device is None:
        return 0.0, "nothing is known of this setting's steps"
    bound = decode_step(shape, device, layout=layout_of(setting, design.machine), context=0).seconds
    return (_CPU_SLOWDOWN - 1) * bound, (
        f"no run here has measured a step on this processor; the high end guesses {_CPU_SLOWDOWN:g} times the bound"
    )


def _readings(setting: Setting, design: Design, *, speculating: bool) -> Iterator[tuple[float, float]]:
    """(bound, measured) seconds of the steps of earlier points of this engine on the same hardware.

    speculating: of points with the setting's own speculation, else of those without any: verifying drafts takes time
    that other steps do not.
    """
    wanted = setting.speculation.id if speculating else "none"
    reduce_s = (design.machine.all_reduce_s if design.machine else None) or ALL_REDUCE_S
    for point in design.earlier:
        shape = design.shapes.get(point.model)
        if shape is None or not point.token_s or (point.backend, point.speculation) != (setting.backend, wanted):
            continue
        if not _alike(point, setting, design):
            continue
        device = design.device_of(
            replace(
                setting,
                tensor_parallel=point.tensor_parallel,
                pipeline_parallel=point.pipeline_parallel,
                data_parallel=1,
                threads_per_rank=point.threads,
            )
        )
        step = None if device is None else step_of(point, shape, device, all_reduce_s=reduce_s)
        if step is not None:
            yield step.seconds, point.token_s * step.tokens


def _alike(point: EarlierPoint, setting: Setting, design: Design) -> bool:
    """Measured on the same kind of device: a GPU the catalogue calls the same, or the same processor."""
    if point.device != setting.device or design.machine is None:
        return False
    accelerator = design.machine.accelerator
    if setting.device == "cpu":
        return point.hardware == accelerator.names
    from tts_compare.machine.catalogue import catalogue, recognise

    known = {**catalogue(), accelerator.name: accelerator}
    found = {recognise(name, point.gpu_memory_bytes, known) for name in point.hardware}
    return {one.name for one in found if one} == {accelerator.name} and None not in found
