"""What the servers' own counters and the client's audit say of a stretch of requests."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct

from tts_compare.domain import Phase
from tts_compare.domain.about import about


class ServerFigures(Struct, frozen=True, kw_only=True):
    """Changes of a server's counters over one stretch of requests; null where it does not have the counter."""

    requests: Annotated[float | None, about("requests that ended")] = None
    prompt_tokens: Annotated[float | None, about("tokens of prompts")] = None
    generation_tokens: Annotated[float | None, about("tokens generated")] = None
    drafts: Annotated[float | None, about("draft steps")] = None
    draft_tokens: Annotated[float | None, about("proposed draft tokens")] = None
    accepted_tokens: Annotated[float | None, about("accepted draft tokens")] = None
    acceptance_rate: Annotated[float | None, about("accepted / proposed draft tokens")] = None
    acceptance_length: Annotated[float | None, about("1 + accepted draft tokens / draft steps")] = None
    accepted_per_position: Annotated[
        dict[str, float], about("share of draft steps whose token at that position was accepted")
    ] = {}
    prefix_queries: Annotated[float | None, about("prompt tokens looked up in the prefix cache")] = None
    prefix_hits: Annotated[float | None, about("prompt tokens found in the prefix cache")] = None
    preemptions: Annotated[float | None, about("requests that were preempted")] = None
    queue_mean_s: Annotated[float | None, about("mean seconds a request waited before it ran")] = None
    running_before: Annotated[float | None, about("requests running when the stretch began")] = None
    waiting_before: Annotated[float | None, about("requests waiting when the stretch began")] = None


class PrefixFigures(Struct, frozen=True, kw_only=True):
    """Prompt tokens served from the prefix cache, and how many the stretch's own prompts explain at most."""

    expected_tokens: Annotated[int | None, about("the most that is explained; null where it cannot be known")] = None
    observed_tokens: Annotated[int | None, about("what was found")] = None
    observed_from: Annotated[Literal["usage", "metrics"] | None, about("the requests' usage, or a counter")] = None
    block_tokens: Annotated[int | None, about("the unit a hit is rounded down to")] = None
    unknown: Annotated[str | None, about("why `expected_tokens` is null")] = None


class ClientFigures(Struct, frozen=True, kw_only=True):
    """The client watched by itself."""

    loop_lag_p50_ms: Annotated[float | None, about("how late the event loop ran a timer, median")] = None
    loop_lag_p99_ms: Annotated[float | None, about("the same, 99th percentile")] = None
    loop_lag_max_ms: Annotated[float | None, about("the same, the longest")] = None
    cpu_share: Annotated[float | None, about("CPU seconds of the busiest client process / wall seconds")] = None
    send_lag_p99_ms: Annotated[float | None, about("sent minus scheduled in an open loop, 99th percentile")] = None
    trail_p50_ms: Annotated[float | None, about("the client's decode time minus the engine's own, median")] = None
    trail_p99_ms: Annotated[float | None, about("the same, 99th percentile")] = None
    histogram_trail_ms: Annotated[float | None, about("the client's mean TTFT minus the engine's histogram's")] = None
    still_s: Annotated[float | None, about("longest time a client process stood still")] = None
    workers: Annotated[int, about("client processes")] = 1


class PointMetrics(Struct, frozen=True, kw_only=True):
    """One stretch of requests that came to its end: what is left of a point when a run is resumed inside it is one."""

    method: Annotated[str, about("the method of the point")] = ""
    budget: Annotated[int | None, about("its cap on generated tokens")] = None
    load: Annotated[str, about("its load")] = ""
    repeat: Annotated[int, about("its repeat")] = 0
    round: Annotated[int, about("its round; format 2")] = 0
    session: Annotated[int, about("which process of a resumed run measured it; format 2")] = 0
    phase: Annotated[Phase, about("`measured` or `spot_check`")] = "measured"
    attempts: Annotated[
        int | None, about("rows of `records.jsonl` it covers; a stretch that was killed has rows and no entry here")
    ] = None
    energy_j: Annotated[float | None, about("change of the energy counter, joules")] = None
    power_j: Annotated[float | None, about("power of telemetry integrated over the stretch, joules")] = None
    accepted_tokens: Annotated[float | None, about("change of the counter of accepted draft tokens")] = None
    draft_steps: Annotated[float | None, about("change of the counter of draft steps")] = None
    prefix_hit_tokens: Annotated[float | None, about("change of the counter of prompt tokens found in the cache")] = (
        None
    )
    prefix_expected_tokens: Annotated[int | None, about("the most that its own prompts explain")] = None
    prefix: Annotated[PrefixFigures, about("the prefix cache")] = PrefixFigures()
    server: Annotated[ServerFigures, about("the server's counters")] = ServerFigures()
    client: Annotated[ClientFigures, about("the client's audit")] = ClientFigures()
