"""Whether a setting fits the devices it would have. Pure."""

from __future__ import annotations

from dataclasses import replace

from tts_compare.backends.limits import kv_tokens
from tts_compare.domain import Setting
from tts_compare.domain.model_shape import ModelShape
from tts_compare.machine.catalogue import Accelerator
from tts_compare.machine.memory import Demand, Fit, Share, fit
from tts_compare.machine.roofline import Layout
from tts_compare.methods import method_named
from tts_compare.plan.design import Design, layout_of, share_of
from tts_compare.plan.pace import batch_of

#: The longest prompt of MATH-500 takes about that many tokens.
LONG_PROMPT_TOKENS = 1_024


def fit_of(setting: Setting, shape: ModelShape, device: Accelerator, design: Design) -> Fit:
    """Weights, drafts and KV cache of the setting against its engine's share of each device."""
    longest = setting.max_model_len or min(longest_of(design), shape.max_positions or longest_of(design))
    at_once = max((batch_of(setting, work, design) for work in design.work), default=1)
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


def longest_of(design: Design) -> int:
    """Tokens of the longest sequence where no length is stated: a long prompt and what may follow it."""
    after = max((method_named(w.method).most_context(w.budget, dict(w.options)) for w in design.work), default=0)
    return after + LONG_PROMPT_TOKENS
