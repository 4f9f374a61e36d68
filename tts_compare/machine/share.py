"""How near a measured point is to what the machine could do, and where the rest of its time goes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tts_compare.codes import warn
from tts_compare.domain import RunWarning
from tts_compare.machine.roofline import DecodeStep

_LEAST_SPAN = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A point beside its bound."""

    bound_s: float
    """The least time per output token."""
    measured_s: float
    """The measured time per output token."""
    tokens_s_device: float
    """Output tokens a second and device, over the sequences that ran at once."""

    @property
    def share(self) -> float:
        """Bound / measured: of a step bound by memory, the part of the peak bandwidth that was used."""
        return self.bound_s / self.measured_s

    @property
    def beyond_s(self) -> float:
        """What a token took beyond the bound; negative where the bound is exceeded."""
        return self.measured_s - self.bound_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """A fit of step time = slowdown x bound + fixed, over points that differ in TP or batch."""

    fixed_s: float
    """Time of a step that does not depend on the bound: launching kernels, scheduling, sampling."""
    slowdown: float
    """The bound's part over the bound: 1 at peak bandwidth. At least 1."""
    residual_s: float
    """Root mean square of what the fit leaves."""
    points: int
    """Points it rests on."""

    def step_s(self, bound_s: float) -> float:
        """A step of that bound, as the fit predicts it."""
        return self.slowdown * bound_s + self.fixed_s


def reached(step: DecodeStep, *, measured_s: float, devices: int, sequences: float = 1.0) -> Reached:
    """A measured time per output token against the step that bounds it.

    measured_s: mean time per output token. sequences: how many ran at once on average. Raises ValueError for a time
    that is not positive.
    """
    if not measured_s > 0 or devices < 1:
        raise ValueError(f"a time per token of {measured_s} s on {devices} devices is no measurement")
    rate = sequences / measured_s / devices
    return Reached(bound_s=step.seconds_per_token, measured_s=measured_s, tokens_s_device=rate)


def prefill_share(bound_s: float, ttft_s: float) -> float:
    """The least time of the prefill over the measured time to first token, queueing and the client included."""
    if not ttft_s > 0:
        raise ValueError(f"a time to first token of {ttft_s} s is no measurement")
    return bound_s / ttft_s


def fixed_overhead(steps: Sequence[tuple[float, float]]) -> Overhead | None:
    """The least-squares fit over (bound, measured) seconds of steps, with slowdown >= 1 and fixed >= 0.

    None where the bounds span less than a tenth: what two near bounds differ in is noise, and a slope of it too.
    """
    count = len(steps)
    if not count or max(bound for bound, _ in steps) < _LEAST_SPAN * min(bound for bound, _ in steps):
        return None
    mean_x = sum(bound for bound, _ in steps) / count
    mean_y = sum(taken for _, taken in steps) / count
    spread = sum((bound - mean_x) ** 2 for bound, _ in steps)
    slope = sum((bound - mean_x) * (taken - mean_y) for bound, taken in steps) / spread
    slope = max(slope, 1.0)
    fixed = mean_y - slope * mean_x
    if fixed < 0.0:
        fixed = 0.0
        slope = max(1.0, sum(b * t for b, t in steps) / sum(b * b for b, _ in steps))
    residual = (sum((t - slope * b - fixed) ** 2 for b, t in steps) / count) ** 0.5
    return Overhead(fixed_s=fixed, slowdown=slope, residual_s=residual, points=count)


def share_warning(point: Reached, *, setting: str, on_cpu: bool) -> RunWarning | None:
    """A warning where a point beats its bound: then the bound, not the point, is in error."""
    if point.share <= 1.0:
        return None
    why = (
        "the processor's cache held a part of the weights, or the triad ran while other programs did"
        if on_cpu
        else "the catalogue's bandwidth is too low for this device, or an answer had fewer steps than tokens"
    )
    return warn(
        "above_the_bound",
        f"the time per token is {point.share:.0%} of what the machine's bandwidth allows: {why}",
        setting=setting,
    )
