"""How many prompt tokens a prefix cache can serve from what a point itself sent, and how many it did. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tts_compare.backends.protocol import MetricNames
from tts_compare.client.scrape import Counters
from tts_compare.domain import Call, RequestRecord
from tts_compare.methods.tokenization import Tokenization, tokenize
from tts_compare.rundir.metrics import PrefixFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request. ids: its prompt's tokens. generated: how many tokens it was answered with.

    thread: requests of one thread go on from one another. choices: answers asked for in one request.
    """

    ids: Sequence[int]
    generated: int = 0
    thread: Hashable
    choices: int = 1


def expected_tokens(sent: Sequence[Sent], block_tokens: int) -> tuple[int, ...]:
    """The most tokens that each request's prompt can find in a prefix cache filled by the requests before it.

    That is the longest token prefix it shares with an earlier prompt, rounded down to whole blocks, and at most all but
    its last token, which engines always compute (vLLM: ``num_tokens - 1``; SGLang: ``input_len - 1``). Engines keep
    generated tokens too: a request may find all that an earlier one of its thread was sent and answered with. One of
    several choices may find its own prompt in each.
    """
    earlier: list[bytes] = []
    reached: dict[Hashable, int] = {}
    found = []
    for request in sent:
        length = len(request.ids)
        key = np.asarray(request.ids, dtype=">u8").tobytes()  # sorts as the ids do, at 8 bytes a token
        at = bisect_left(earlier, key)
        shared = max(_shared(key, other) for other in (b"", *earlier[max(0, at - 1) : at + 1]))
        if request.choices > 1:
            shared = length
        shared = min(max(shared, reached.get(request.thread, 0)), length - 1)
        found.append(request.choices * (max(0, shared) // block_tokens * block_tokens))
        if earlier[at : at + 1] != [key]:
            earlier.insert(at, key)
        reached[request.thread] = max(reached.get(request.thread, 0), length + request.generated)
    return tuple(found)


def _shared(one: bytes, other: bytes) -> int:
    """Tokens at the beginning of both. In sorted order no prompt shares more than the two neighbours."""
    size = min(len(one), len(other))
    differ = np.flatnonzero(np.frombuffer(one[:size], ">u8") != np.frombuffer(other[:size], ">u8"))
    return int(differ[0]) if differ.size else size // 8


def block_told(counters: Counters | None, names: MetricNames) -> int | None:
    """Tokens of a KV block as the running server's metrics say it, None where they do not."""
    samples = (counters or {}).get(names.block or "", {})
    for labels, value in samples.items():
        told = dict(labels)
        texts = [told.get(name, "") for name in names.block_labels] if names.block_labels else [f"{value:.0f}"]
        sizes = [int(text) for text in texts if text.isdecimal() and int(text) > 0]
        if sizes:
            return sizes[0]
    return None


def prefix_figures(
    rows: Sequence[RequestRecord],
    calls: Mapping[str, Call],
    *,
    caching: bool,
    tokenization: Tokenization | None,
    block_tokens: int | None,
    hit_tokens: float | None,
    before: Sequence[Call] = (),
) -> PrefixFigures:
    """The figures of one point. ``caching``: whether the cache is on; off, nothing can be expected from it.

    rows: all that were sent, several a request where it had choices. calls: by request id. hit_tokens: the change of
    the server's counter. before: prompts that were in the cache when the point began. Requests that run at once may
    reach the engine in another order than they were sent in: their sum stays, so only sums are compared.
    """
    requests: dict[str, list[RequestRecord]] = {}
    for row in sorted(rows, key=lambda row: row.sent_ns or 0):
        if row.sent_ns is not None:
            requests.setdefault(row.request_id, []).append(row)
    observed, source = _observed([group[0] for group in requests.values()], hit_tokens)

    def unknown(reason: str) -> PrefixFigures:
        return PrefixFigures(observed_tokens=observed, observed_from=source, block_tokens=block_tokens, unknown=reason)

    if not caching:
        return PrefixFigures(expected_tokens=0, observed_tokens=observed, observed_from=source)
    if tokenization is None or block_tokens is None:
        return unknown("how this server's prefix cache works is not known")
    if any(group[0].ok and group[0].prompt_tokens is None for group in requests.values()):
        return unknown("the server did not count the tokens of a prompt")
    asked = [*before, *(calls[request] for request in requests)]
    counts = [*(None for _ in before), *(group[0].prompt_tokens for group in requests.values())]
    tokenized = tokenize(tokenization, asked, counts)
    if isinstance(tokenized, str):
        return unknown(tokenized)
    sent = [Sent(ids=ids, thread=number) for number, ids in enumerate(tokenized[: len(before)])]
    sent += [
        Sent(
            ids=ids,
            generated=group[0].completion_tokens or 0,
            thread=(group[0].problem, group[0].sample),
            choices=len(group),
        )
        for ids, group in zip(tokenized[len(before) :], requests.values(), strict=True)
    ]
    return PrefixFigures(
        expected_tokens=sum(expected_tokens(sent, block_tokens)[len(before) :]),
        observed_tokens=observed,
        observed_from=source,
        block_tokens=block_tokens,
    )


def _observed(
    requests: Sequence[RequestRecord], hit_tokens: float | None
) -> tuple[int | None, Literal["usage", "metrics"] | None]:
    """Engines leave ``cached_tokens`` away where it is 0: where one request has it, one without it had none."""
    told = [row.cached_tokens for row in requests]
    if any(count is not None for count in told):
        return sum(count or 0 for count in told), "usage"
    return (round(hit_tokens), "metrics") if hit_tokens is not None else (None, None)
