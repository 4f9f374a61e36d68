"""What the figures of a plan rest on, a sentence each: measured, published, assumed or guessed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tts_compare.domain import Setting, model_slug
from tts_compare.machine.roofline import ALL_REDUCE_S
from tts_compare.plan.design import Design, share_of
from tts_compare.plan.overhead import overhead_of
from tts_compare.plan.pace import STARTUP_S, startup_s
from tts_compare.plan.result import SettingPlan


def basis_of(planned: Sequence[SettingPlan], design: Design) -> Iterator[str]:
    """The sentences of all settings, in the order of the figures; some come more than once.

    planned: of ``design.settings``, in their order.
    """
    pairs = [(s, one) for s, one in zip(design.settings, planned, strict=True) if one.fits]
    timed = [setting for setting, one in pairs if one.hours_low is not None]
    yield from _work(pairs)
    yield from _hardware(timed, design)
    yield from _shapes(pairs, design)
    yield from _money(timed, design)


def _work(pairs: Sequence[tuple[Setting, SettingPlan]]) -> Iterator[str]:
    for setting, one in pairs:
        if one.tokens_source:
            yield f"answers of {model_slug(setting.model)}: {one.tokens_source}"
        if one.acceptance_source and setting.speculation.kind != "none":
            yield f"tokens a step with {setting.speculation.id}: {one.acceptance_source}"


def _hardware(timed: Sequence[Setting], design: Design) -> Iterator[str]:
    for setting in timed:
        yield overhead_of(setting, design)[1]
    if any(setting.tensor_parallel > 1 for setting in timed) and not (design.machine and design.machine.all_reduce_s):
        yield f"an all-reduce is assumed to take {ALL_REDUCE_S * 1e6:g} us"
    if design.machine and design.machine.nodes > 1 and any((s.devices or 1) > design.machine.devices for s in timed):
        yield "a setting spans nodes: what their network adds is not in its bound"
    for setting in timed:
        if not setting.base_url and startup_s(setting, design) == STARTUP_S[setting.device]:
            least, most = STARTUP_S[setting.device]
            yield f"a server's start is guessed to take {least:g} to {most:g} s"
        device = design.device_of(setting)
        if device is not None and (share := share_of(setting, device)).is_guess:
            part = f"{share.of_memory:.0%} of a GPU's memory"
            yield f"{setting.backend} takes {part} for weights and KV cache: {share.source}"


def _shapes(pairs: Sequence[tuple[Setting, SettingPlan]], design: Design) -> Iterator[str]:
    for setting, one in pairs:
        if setting.speculation.model and design.draft_of(setting) is None and one.hours_low is not None:
            name = setting.speculation.model
            yield f"nothing is known of the draft model {name}: neither its memory nor its time is in the plan"
        if one.shape_source and "offline table" in one.shape_source:
            yield f"shape of {model_slug(setting.model)}: {one.shape_source}"


def _money(timed: Sequence[Setting], design: Design) -> Iterator[str]:
    if not timed or design.gpu_hour_usd is not None:
        return
    if design.price is None:
        yield "no price of a device is known: give --gpu-hour-usd"
    elif design.machine and design.machine.usd_hour is None:
        source = dict(design.machine.accelerator.sources).get("usd_hour", "the user's catalogue")
        low, high = design.price
        yield f"a device costs {low:g} to {high:g} dollars an hour ({source})"
