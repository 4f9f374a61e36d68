"""The embedded server's counters, in Prometheus' text form under vLLM's names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_BUCKETS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(slots=True)
class Histogram:
    """A histogram of seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(_BUCKETS_S) + 1))
    total_s: float = 0.0

    def add(self, value_s: float) -> None:
        """Count one value."""
        self.total_s += value_s
        at = next((i for i, bound in enumerate(_BUCKETS_S) if value_s <= bound), len(_BUCKETS_S))
        self.counts[at] += 1

    def lines(self, name: str, label: str) -> list[str]:
        """Render in Prometheus' text form."""
        out, reached = [f"# TYPE {name} histogram"], 0
        for bound, count in zip((*_BUCKETS_S, "+Inf"), self.counts, strict=True):
            reached += count
            out.append(f'{name}_bucket{{le="{bound}",{label}}} {reached}.0')
        return [*out, f"{name}_count{{{label}}} {reached}.0", f"{name}_sum{{{label}}} {self.total_s}"]


@dataclass(slots=True)
class Counters:
    """What the server has done since it started."""

    running: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    requests: int = 0
    preemptions: int = 0
    prefix_queries: int = 0
    prefix_hits: int = 0
    steps: int = 0
    ttft: Histogram = field(default_factory=Histogram)
    e2e: Histogram = field(default_factory=Histogram)

    def text(self, model: str, *, draft_tokens: int, block_tokens: int, kv_usage: float = 0.0) -> str:
        """Render all of it; counters of speculation exist only where ``draft_tokens`` are proposed a step."""
        label = f'engine="0",model_name="{model}"'
        counters = {
            "vllm:prompt_tokens_total": self.prompt_tokens,
            "vllm:generation_tokens_total": self.generation_tokens,
            "vllm:prefix_cache_queries_total": self.prefix_queries,
            "vllm:prefix_cache_hits_total": self.prefix_hits,
            "vllm:num_preemptions_total": self.preemptions,
        }
        if draft_tokens:
            accepted = max(0, self.generation_tokens - self.steps)
            counters |= {
                "vllm:spec_decode_num_drafts_total": self.steps,
                "vllm:spec_decode_num_draft_tokens_total": self.steps * draft_tokens,
                "vllm:spec_decode_num_accepted_tokens_total": accepted,
            }
        lines: list[str] = []
        for name, value in counters.items():
            lines += [f"# TYPE {name} counter", f"{name}{{{label}}} {value}.0"]
        lines += ["# TYPE vllm:cache_config_info gauge"]
        lines += [f'vllm:cache_config_info{{block_size="{block_tokens}",engine="0",hash_block_size="None"}} 1.0']
        lines += ["# TYPE vllm:request_success_total counter"]
        lines += [f'vllm:request_success_total{{{label},finished_reason="stop"}} {self.requests}.0']
        gauges = {
            "vllm:num_requests_running": float(self.running),
            "vllm:num_requests_waiting": 0.0,
            "vllm:kv_cache_usage_perc": kv_usage,
        }
        for gauge, level in gauges.items():
            lines += [f"# TYPE {gauge} gauge", f"{gauge}{{{label}}} {level}"]
        lines += self.ttft.lines("vllm:time_to_first_token_seconds", label)
        lines += self.e2e.lines("vllm:e2e_request_latency_seconds", label)
        return "\n".join(lines) + "\n"


class PrefixCache:
    """Remembers prompts in blocks of tokens, as an engine's prefix cache does; ``kept``: it never forgets."""

    def __init__(self, block_tokens: int = 16, *, kept: bool = False) -> None:
        self.block_tokens = block_tokens
        self._kept = kept
        self._seen: set[int] = set()

    def hit(self, ids: Sequence[int]) -> int:
        """Return how many leading tokens were seen before, in whole blocks, and remember all of them."""
        size, prefix, prefixes = self.block_tokens, 0, []
        for begin in range(0, len(ids) - size, size):
            prefix = hash((prefix, *ids[begin : begin + size]))
            prefixes.append(prefix)
        hits = next((i for i, known in enumerate(prefixes) if known not in self._seen), len(prefixes))
        self._seen.update(prefixes)
        return hits * size

    def clear(self) -> None:
        """Forget."""
        if not self._kept:
            self._seen.clear()
