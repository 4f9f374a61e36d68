"""How many tokens answers will have, and how many drafts are accepted: measured, published, or a stated guess. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tts_compare.domain import Speculation, Work
from tts_compare.domain.model_shape import ModelShape
from tts_compare.methods import method_named
from tts_compare.models.known import hub_name, known_shapes, published_length
from tts_compare.plan.earlier import EarlierPoint

#: Methods whose samples are as long as a plain answer.
_PLAIN = ("truncate", "vote", "best_of_n")
#: Guessed means of answers to problems of mathematics, by whether the model thinks; None where that is not known.
_GUESSED: dict[bool | None, tuple[int, int]] = {True: (2_000, 8_000), False: (200, 1_500), None: (200, 8_000)}
_SPECDECODE_BENCH = "SpecDecode-Bench, arXiv:2601.11580: its speed-up at batch 1, which accepted tokens at least allow"
#: Tokens a step yields at best, by kind of speculation.
_PUBLISHED_ACCEPTANCE = {"ngram": 1.58, "eagle": 1.96, "eagle3": 1.80}
_GUESSED_ACCEPTANCE = 1.80


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A range, and what it rests on."""

    low: float
    """The least expected."""
    high: float
    """The most expected."""
    source: str
    """Who measured or published it, or that it is a guess."""


def answer_tokens(
    model: str, dataset: str, work: Work, *, shape: ModelShape | None, earlier: Sequence[EarlierPoint] = ()
) -> Expected:
    """Mean generated tokens of one sample.

    What earlier runs measured for the same model, data set, method and budget goes before what was published of the
    model on this data set, and that before a guess. None exceeds what the method may generate at the budget.
    """
    most = method_named(work.method).most_generated(work.budget, dict(work.options))
    same = [
        point.tokens / point.samples
        for point in earlier
        if (point.model, point.dataset, point.method, point.budget) == (model, dataset, work.method, work.budget)
        and point.tokens is not None
    ]
    if same:
        mean = min(fmean(same), most)
        return Expected(low=mean, high=mean, source=f"{_points(len(same))} of earlier runs")
    found = published_length(model, dataset) if work.method in _PLAIN else None
    if found is not None:
        tokens = float(min(found.tokens, most))
        return Expected(low=tokens, high=tokens, source=f"{found.source} (mean {found.tokens:,})")
    known = known_shapes().get(hub_name(model) or "")
    low, high = _GUESSED[next((s.reasons for s in (shape, known) if s and s.reasons is not None), None)]
    source = f"a guess: {low:,} to {high:,} tokens an answer; nothing is published for this model and data set"
    return Expected(low=float(min(low, most)), high=float(min(high, most)), source=source)


def accepted_length(model: str, speculation: Speculation, *, earlier: Sequence[EarlierPoint] = ()) -> Expected:
    """Tokens a step yields on average: 1 without speculation, at most the drafts and one."""
    if speculation.kind == "none":
        return Expected(low=1.0, high=1.0, source="no speculation")
    most = speculation.num_tokens + 1.0
    same = [
        point.accepted_length
        for point in earlier
        if (point.model, point.speculation) == (model, speculation.id) and point.accepted_length is not None
    ]
    if same:
        mean = max(1.0, min(fmean(same), most))
        return Expected(low=mean, high=mean, source=f"{_points(len(same))} of earlier runs")
    published = _PUBLISHED_ACCEPTANCE.get(speculation.kind)
    if published is not None:
        source = f"from none accepted to {published:g} tokens a step ({_SPECDECODE_BENCH})"
        return Expected(low=1.0, high=min(published, most), source=source)
    source = f"a guess: from none accepted to {_GUESSED_ACCEPTANCE:g} tokens a step"
    return Expected(low=1.0, high=min(_GUESSED_ACCEPTANCE, most), source=source)


def _points(count: int) -> str:
    return "1 point" if count == 1 else f"{count} points"
