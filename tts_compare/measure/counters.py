"""What a server's own counters say about one point, and where they contradict our rows."""

from __future__ import annotations

from collections.abc import Sequence

from tts_compare.backends.protocol import MetricNames
from tts_compare.client.scrape import Counters, change, change_by, total
from tts_compare.codes import warn
from tts_compare.domain import RequestRecord, RunWarning
from tts_compare.rundir.metrics import ServerFigures


def figures(before: Counters | None, after: Counters | None, names: MetricNames) -> ServerFigures:
    """The figures of one point from the samples before and after it."""

    def grown(name: str | None) -> float | None:
        return change(before, after, name)

    drafts, accepted, proposed = grown(names.drafts), grown(names.accepted_tokens), grown(names.draft_tokens)
    queue = names.queue_time
    waited, waits = (grown(f"{queue}_sum"), grown(f"{queue}_count")) if queue else (None, None)
    by_position = change_by(before, after, names.accepted_per_position, "position")
    return ServerFigures(
        requests=grown(names.requests),
        prompt_tokens=grown(names.prompt_tokens),
        generation_tokens=grown(names.generation_tokens),
        drafts=drafts,
        draft_tokens=proposed,
        accepted_tokens=accepted,
        acceptance_rate=_share(accepted, proposed) if drafts else _gauge(after, names.accept_rate),
        acceptance_length=_length(accepted, drafts) if drafts else _gauge(after, names.accept_length),
        accepted_per_position={place: count / drafts for place, count in by_position.items()} if drafts else {},
        prefix_queries=grown(names.prefix_queries),
        prefix_hits=grown(names.prefix_hits),
        preemptions=grown(names.preemptions),
        queue_mean_s=_share(waited, waits),
        running_before=total(before, names.running),
        waiting_before=total(before, names.waiting),
    )


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _length(accepted: float | None, drafts: float | None) -> float | None:
    return 1 + accepted / drafts if accepted is not None and drafts else None


def _gauge(after: Counters | None, name: str | None) -> float | None:
    """A gauge that reads 0 when nothing was speculated: 0 is not a measurement."""
    return total(after, name) or None


def ttft_growth(before: Counters | None, after: Counters | None, names: MetricNames) -> tuple[float, float] | None:
    """Sum (seconds) and count by which the engine's histogram of TTFT grew, None where it has none."""
    grown = [change(before, after, f"{names.ttft}_{part}") if names.ttft else None for part in ("sum", "count")]
    return (grown[0], grown[1]) if grown[0] is not None and grown[1] is not None else None


def contradictions(seen: ServerFigures, rows: Sequence[RequestRecord], setting: str) -> tuple[RunWarning, ...]:
    """Warnings where the server counted more than we sent, was busy before us, or preempted.

    A server counts a request when it ends, so one that we gave up may be missing: only more is a warning. Our
    requests are counted by choice, as engines count sequences.
    """
    doubts: list[RunWarning] = []
    if seen.requests is not None and seen.requests > len(rows):
        doubts.append(
            warn(
                "foreign_requests",
                f"the server ended {seen.requests:.0f} requests while we sent {len(rows)}",
                setting=setting,
            )
        )
    elif (seen.running_before or 0) + (seen.waiting_before or 0) > 0:
        doubts.append(
            warn(
                "busy_before",
                setting=setting,
            )
        )
    if seen.preemptions:
        doubts.append(
            warn(
                "preempted",
                f"the engine preempted {seen.preemptions:.0f} times: its KV cache was full",
                setting=setting,
            )
        )
    return tuple(doubts)
