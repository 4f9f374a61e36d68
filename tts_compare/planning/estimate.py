"""What an experiment would take: tokens, hours and dollars of each setting and in all. Pure.

The low end is the bound of the hardware; the high end adds a fixed time to each step, as earlier runs on like hardware
measured it, or what would explain a published speed-up. Every figure that is assumed says so in ``assumptions``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

from tts_compare.backends.limits import kv_tokens
from tts_compare.domain import Setting, Work
from tts_compare.machine.catalogue import Accelerator
from tts_compare.machine.memory import Demand, Fit, Share, fit
from tts_compare.machine.roofline import ALL_REDUCE_S, Drafts, Layout, Step, decode_step, prefill_s
from tts_compare.methods import METHODS
from tts_compare.model_shape import ModelShape
from tts_compare.pacing import Concurrent, parse_load
from tts_compare.planning.design import Design, layout_of, share_of
from tts_compare.planning.lengths import Expected, accepted_length, answer_tokens
from tts_compare.planning.overhead import overhead_of
from tts_compare.planning.plan import Plan, SettingPlan, Total

_HOUR_S = 3600.0
#: The longest prompt of MATH-500 takes about that many tokens.
LONG_PROMPT_TOKENS = 1_024
_STARTUP_S = {"cpu": (30.0, 90.0), "cuda": (60.0, 300.0)}


def plan(design: Design) -> Plan:
    """The plan of a design."""
    planned = tuple(_setting_plan(setting, design) for setting in design.settings)
    skipped = tuple(SettingPlan(id=s.setting.id, fits=False, reason=s.reason) for s in design.skipped)
    machine = str(design.machine) if design.machine else "GPUs that the catalogue does not know"
    return Plan(
        machine=machine,
        settings=planned + skipped,
        total=_total((*planned, *skipped), design),
        assumptions=tuple(dict.fromkeys(_assumptions(planned, design))),
    )


def _setting_plan(setting: Setting, design: Design) -> SettingPlan:
    requests = design.starts * sum(_requests(work, design.problems) for work in design.work)
    shape = None if setting.devices is None else design.shapes.get(setting.model)
    lengths = [
        answer_tokens(setting.model, design.dataset, work, shape=shape, earlier=design.earlier) for work in design.work
    ]
    counts = [design.starts * _requests(work, design.problems) for work in design.work]
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
    found = _fit(setting, shape, device, design)
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
    low, high = _startup_s(setting, design)
    for work, length in zip(design.work, lengths, strict=True):
        step = _step(setting, work, shape, device, design, tokens=length.low, accepted=accepted.high)
        low += _seconds(setting, work, design, tokens=length.low, token_s=step.seconds_per_token, prefill=prefill)
        slow = _step(setting, work, shape, device, design, tokens=length.high, accepted=accepted.low)
        token_s = (slow.seconds + overhead) / accepted.low
        high += _seconds(setting, work, design, tokens=length.high, token_s=token_s, prefill=prefill + overhead)
    first = _step(setting, design.work[0], shape, device, design, tokens=lengths[0].low, accepted=accepted.high)
    hours_low, hours_high = design.starts * low / _HOUR_S, design.starts * high / _HOUR_S
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


def _step(
    setting: Setting,
    work: Work,
    shape: ModelShape,
    device: Accelerator,
    design: Design,
    *,
    tokens: float,
    accepted: float,
) -> Step:
    """A step in the middle of an answer, at the batch of one replica."""
    drafts = Drafts(
        tokens=0 if setting.speculation.kind == "none" else setting.speculation.num_tokens,
        accepted_length=accepted,
        shape=design.draft_of(setting),
    )
    batch = -(-_batch(setting, work, design) // setting.data_parallel)
    context = design.prompt_tokens + tokens / 2
    return decode_step(
        shape, device, layout=layout_of(setting, design.machine), context=context, batch=batch, drafts=drafts
    )


def _seconds(setting: Setting, work: Work, design: Design, *, tokens: float, token_s: float, prefill: float) -> float:
    """Seconds of one work on one start: its tokens at the batch's pace, and each prompt's prefill.

    An open loop takes at least as long as its arrivals do.
    """
    requests = _requests(work, design.problems)
    paced = requests * tokens * token_s / _batch(setting, work, design) + requests * prefill / setting.data_parallel
    load = parse_load(work.load)
    return paced if isinstance(load, Concurrent) else max(paced, requests / work.samples / load.rate)


def _batch(setting: Setting, work: Work, design: Design) -> int:
    """Sequences under way at once over all replicas; of an open loop as many as the batch limit lets in."""
    load = parse_load(work.load)
    limit = setting.max_num_seqs * setting.data_parallel
    wanted = load.n * work.samples if isinstance(load, Concurrent) else limit
    return max(1, min(wanted, limit, _requests(work, design.problems)))


def _requests(work: Work, problems: int) -> int:
    return min(work.problem_limit or problems, problems) * work.samples


def _fit(setting: Setting, shape: ModelShape, device: Accelerator, design: Design) -> Fit:
    longest = setting.max_model_len or min(_longest(design), shape.max_positions or _longest(design))
    at_once = max((_batch(setting, work, design) for work in design.work), default=1)
    demand = Demand(max_model_len=longest, sequences=-(-at_once // setting.data_parallel))
    if setting.device == "cpu":  # the engine is told how much to reserve, and takes it at its start
        demand = Demand(max_model_len=kv_tokens(setting), sequences=1)
    layout, share = layout_of(setting, design.machine), share_of(setting, device)
    found = _fitted(shape, device, layout=layout, share=share, demand=demand, draft=design.draft_of(setting))
    return found if setting.device != "cpu" else replace(found, kv_tokens=min(found.kv_tokens, kv_tokens(setting)))


def _fitted(
    shape: ModelShape, device: Accelerator, *, layout: Layout, share: Share, demand: Demand, draft: ModelShape | None
) -> Fit:
    """What cannot fit even without working memory does not fit; what lacks the room that is assumed for it may not."""
    likely = fit(shape, device, layout=layout, share=share, demand=demand, draft=draft)
    if likely.fits:
        return likely
    at_best = replace(share, workspace_bytes=0.0)
    certain = fit(shape, device, layout=layout, share=at_best, demand=demand, draft=draft)
    if not certain.fits:
        return certain
    return replace(likely, fits=True, reason=None, warning=f"it may die at its start: {likely.reason}")


def _longest(design: Design) -> int:
    """Tokens of the longest sequence where no length is stated: a long prompt and what may follow it."""
    after = max((METHODS[w.method].most_context(w.budget, dict(w.options)) for w in design.work), default=0)
    return after + LONG_PROMPT_TOKENS


def _startup_s(setting: Setting, design: Design) -> tuple[float, float]:
    if setting.base_url:
        return 0.0, 0.0
    same = [
        p.startup_s
        for p in design.earlier
        if (p.model, p.backend, p.device) == (setting.model, setting.backend, setting.device) and p.startup_s
    ]
    return (median(same), median(same)) if same else _STARTUP_S[setting.device]


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


def _assumptions(planned: Sequence[SettingPlan], design: Design) -> Iterator[str]:
    """What the figures rest on that nobody measured, a sentence each."""
    timed = [s for s in design.settings if any(p.id == s.id and p.hours_low is not None for p in planned)]
    for setting in timed:
        yield overhead_of(setting, design)[1]
    if any(setting.tensor_parallel > 1 for setting in timed) and not (design.machine and design.machine.all_reduce_s):
        yield f"an all-reduce is assumed to take {ALL_REDUCE_S * 1e6:g} us"
    if design.machine and design.machine.nodes > 1 and any((s.devices or 1) > design.machine.devices for s in timed):
        yield "a setting spans nodes: what their network adds is not in its bound"
    for setting in timed:
        if not setting.base_url and _startup_s(setting, design) == _STARTUP_S[setting.device]:
            least, most = _STARTUP_S[setting.device]
            yield f"a server's start is guessed to take {least:g} to {most:g} s"
    for name in {s.speculation.model for s in timed if s.speculation.model and design.draft_of(s) is None}:
        yield f"nothing is known of the draft model {name}: neither its memory nor its time is in the plan"
    for one in planned:
        if one.shape_source and "offline table" in one.shape_source:
            yield f"model shapes: {one.shape_source}"
    yield from _money(timed, design)


def _money(timed: Sequence[Setting], design: Design) -> Iterator[str]:
    if not timed or design.gpu_hour_usd is not None:
        return
    if design.price is None:
        yield "no price of a device is known: give --gpu-hour-usd"
    elif design.machine and design.machine.usd_hour is None:
        source = dict(design.machine.accelerator.sources).get("usd_hour", "the user's catalogue")
        low, high = design.price
        yield f"a device costs {low:g} to {high:g} dollars an hour ({source})"
