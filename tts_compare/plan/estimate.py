"""What an experiment would take: tokens, hours and dollars of each setting and in all. Pure.

The low end is the bound of the hardware; the high end adds a fixed time to each step, as earlier runs on like hardware
measured it, or what would explain a published speed-up. ``basis`` says what every figure rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tts_compare.domain import Setting
from tts_compare.domain.model_shape import ModelShape
from tts_compare.machine.catalogue import Accelerator
from tts_compare.machine.roofline import prefill_s
from tts_compare.plan.basis import basis_of
from tts_compare.plan.design import Design, layout_of
from tts_compare.plan.fitting import fit_of
from tts_compare.plan.lengths import Expected, accepted_length, answer_tokens
from tts_compare.plan.overhead import overhead_of
from tts_compare.plan.pace import requests_of, seconds_of, startup_s, step_in
from tts_compare.plan.result import Plan, SettingPlan, Total

_HOUR_S = 3600.0


def plan(design: Design) -> Plan:
    """The plan of a design."""
    planned = tuple(_setting_plan(setting, design) for setting in design.settings)
    skipped = tuple(SettingPlan(id=s.setting.id, fits=False, reason=s.reason) for s in design.skipped)
    machine = str(design.machine) if design.machine else "GPUs that the catalogue does not know"
    return Plan(
        machine=machine,
        settings=planned + skipped,
        total=_total((*planned, *skipped), design),
        basis=tuple(dict.fromkeys(basis_of(planned, design))),
    )


def _setting_plan(setting: Setting, design: Design) -> SettingPlan:
    requests = design.passes * sum(requests_of(work, design.problems) for work in design.work)
    shape = None if setting.devices is None else design.shapes.get(setting.model)
    lengths = [
        answer_tokens(setting.model, design.dataset, work, shape=shape, earlier=design.earlier) for work in design.work
    ]
    counts = [design.passes * requests_of(work, design.problems) for work in design.work]
    low = sum(count * length.low for count, length in zip(counts, lengths, strict=True))
    high = sum(count * length.high for count, length in zip(counts, lengths, strict=True))
    base = SettingPlan(
        id=setting.id,
        fits=True,
        devices=setting.devices,
        starts=0 if setting.base_url else design.starts,
        requests=requests,
        tokens_low=low,
        tokens_high=high,
        tokens_source=lengths[0].source if lengths else None,
    )
    if setting.devices is None:
        usd = [_hosted_usd(setting, tokens, requests * design.prompt_tokens) for tokens in (low, high)]
        return replace(base, usd_low=usd[0], usd_high=usd[1])
    device = design.device_of(setting)
    if shape is None or device is None:
        return base
    found = fit_of(setting, shape, device, design)
    known = replace(
        base,
        weight_bytes=found.weight_bytes,
        kv_tokens=found.kv_tokens,
        warning=found.warning,
        shape_source=shape.source,
    )
    if not found.fits:
        return replace(known, fits=False, reason=found.reason, starts=0, requests=0, tokens_low=None, tokens_high=None)
    return _timed(known, setting=setting, shape=shape, device=device, design=design, lengths=lengths)


def _timed(
    base: SettingPlan,
    *,
    setting: Setting,
    shape: ModelShape,
    device: Accelerator,
    design: Design,
    lengths: Sequence[Expected],
) -> SettingPlan:
    """With the fields of time and money."""
    accepted = accepted_length(setting.model, setting.speculation, earlier=design.earlier)
    overhead, _ = overhead_of(setting, design)
    prefill = prefill_s(shape, device, layout=layout_of(setting, design.machine), tokens=design.prompt_tokens)
    low = high = 0.0
    for work, length in zip(design.work, lengths, strict=True):
        step = step_in(setting, work, shape, device, design, tokens=length.low, accepted=accepted.high)
        low += seconds_of(setting, work, design, tokens=length.low, token_s=step.seconds_per_token, prefill=prefill)
        slow = step_in(setting, work, shape, device, design, tokens=length.high, accepted=accepted.low)
        token_s = (slow.seconds + overhead) / accepted.low
        high += seconds_of(setting, work, design, tokens=length.high, token_s=token_s, prefill=prefill + overhead)
    first = step_in(setting, design.work[0], shape, device, design, tokens=lengths[0].low, accepted=accepted.high)
    begin_low, begin_high = startup_s(setting, design)
    hours_low = (design.starts * begin_low + design.passes * low) / _HOUR_S
    hours_high = (design.starts * begin_high + design.passes * high) / _HOUR_S
    devices, price = setting.devices or 1, design.price
    return replace(
        base,
        acceptance=accepted.high,
        acceptance_source=accepted.source,
        bound_s_per_token=first.seconds_per_token,
        prefill_bound_s=prefill,
        binding=first.binding,
        overhead_s=overhead,
        hours_low=hours_low,
        hours_high=hours_high,
        gpu_hours_low=hours_low * devices,
        gpu_hours_high=hours_high * devices,
        usd_low=hours_low * devices * price[0] if price else None,
        usd_high=hours_high * devices * price[1] if price else None,
    )


def _hosted_usd(setting: Setting, tokens: float, prompt_tokens: float) -> float | None:
    price = setting.price
    return None if price is None else (tokens * price.output + prompt_tokens * price.input) / 1e6


def _total(planned: Sequence[SettingPlan], design: Design) -> Total:
    fitting = [one for one in planned if one.fits]

    def added(name: str) -> float:
        return sum(getattr(one, name) or 0.0 for one in fitting)

    hours = [added("hours_low") / design.parallel_servers, added("hours_high") / design.parallel_servers]
    priced = any(one.usd_low is not None for one in fitting)
    price, devices = design.price, design.machine.total if design.machine else 0
    return Total(
        settings=len(fitting),
        skipped=len(planned) - len(fitting),
        unknown=sum(one.hours_low is None for one in fitting),
        starts=sum(one.starts for one in fitting),
        requests=sum(one.requests for one in fitting),
        tokens_low=added("tokens_low"),
        tokens_high=added("tokens_high"),
        hours_low=hours[0],
        hours_high=hours[1],
        gpu_hours_low=added("gpu_hours_low"),
        gpu_hours_high=added("gpu_hours_high"),
        usd_low=added("usd_low") if priced else None,
        usd_high=added("usd_high") if priced else None,
        machine_usd_low=hours[0] * devices * price[0] if price and devices else None,
        machine_usd_high=hours[1] * devices * price[1] if price and devices else None,
    )
