"""A plan: what each setting would take, and all of them. The fields are those of ``plan --format json``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingPlan:
    """What one setting would take; None where it cannot be said. ``_low`` and ``_high`` are the ends of a range."""

    id: str
    """The setting's id."""
    fits: bool
    """Whether it can run there."""
    reason: str | None = None
    """Why not."""
    warning: str | None = None
    """What would make its figures worse than planned."""
    devices: int | None = None
    """Devices it takes."""
    starts: int = 0
    """Server starts."""
    requests: int = 0
    """Requests of all starts."""
    tokens_low: float | None = None
    """Generated tokens of all starts."""
    tokens_high: float | None = None
    """The same, high end."""
    tokens_source: str | None = None
    """What the lengths rest on."""
    acceptance: float | None = None
    """Tokens a step yields in ``bound_s_per_token``; 1 without speculation."""
    acceptance_source: str | None = None
    """What that rests on."""
    bound_s_per_token: float | None = None
    """The least time per output token of the first work, at its batch and half its answer's length."""
    prefill_bound_s: float | None = None
    """The least time to read one prompt."""
    binding: str | None = None
    """The resource that takes the largest part of a step."""
    overhead_s: float | None = None
    """Time that the high end adds to a step."""
    weight_bytes: float | None = None
    """Weights on one device, a draft model's included."""
    kv_tokens: int | None = None
    """Tokens of KV cache of one replica."""
    shape_source: str | None = None
    """Where the model's shape comes from."""
    hours_low: float | None = None
    """Hours at the bound, starts included."""
    hours_high: float | None = None
    """Hours with the overhead."""
    gpu_hours_low: float | None = None
    """Hours times devices."""
    gpu_hours_high: float | None = None
    """The same, high end."""
    usd_low: float | None = None
    """Dollars of its devices, or of a hosted endpoint's tokens."""
    usd_high: float | None = None
    """The same, high end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """All settings that fit. Sums omit settings that cannot be estimated; ``unknown`` counts those."""

    settings: int
    """Settings that fit."""
    skipped: int
    """Settings that do not."""
    unknown: int
    """Settings that fit, of which no hours can be said."""
    starts: int
    """Server starts."""
    requests: int
    """Requests."""
    tokens_low: float
    """Generated tokens."""
    tokens_high: float
    """The same, high end."""
    hours_low: float
    """Hours on the clock, as many servers at once as asked for."""
    hours_high: float
    """The same, high end."""
    gpu_hours_low: float
    """Hours times the devices that each setting takes."""
    gpu_hours_high: float
    """The same, high end."""
    usd_low: float | None
    """Dollars of the devices that each setting takes, as a report counts them; None without a price."""
    usd_high: float | None
    """The same, high end."""
    machine_usd_low: float | None
    """Dollars of the whole machine for the hours on the clock: what renting it costs."""
    machine_usd_high: float | None
    """The same, high end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of an experiment."""

    machine: str
    """Where it would run."""
    settings: tuple[SettingPlan, ...]
    """Every setting, those that do not fit too."""
    total: Total
    """All that fit."""
    basis: tuple[str, ...]
    """What the figures rest on, measured, published, assumed or guessed, a sentence each."""
