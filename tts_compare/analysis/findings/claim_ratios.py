"""Claims on speed-ups and costs per token: (b) to (e) and (h) of the table in ``claims``."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import TypeVar

from tts_compare.analysis.findings.compare import Pair
from tts_compare.analysis.findings.evidence import Evidence
from tts_compare.analysis.findings.tested import Part, Tested, Untestable, try_parts

_NO_DRAFTS = Untestable(why="no setting was run with and without speculation")
_NO_RANKS = Untestable(why="no setting was run on one rank and at a higher degree of tensor parallelism")
_Name = TypeVar("_Name", bound=Hashable)
#: "The small model" of the paper.
_SMALL = 2e9
#: The speed-up that the paper gives for its 14B model on four ranks.
_PUBLISHED = "the paper's 14B model on 4 ranks: 1.7x"


def _cells(evidence: Evidence, pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Pairs by model and budget, named."""
    found: dict[tuple[str, int], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((evidence.model(pair.a), evidence.budget(pair.a)), []).append(pair)
    return {f"{model} at {budget}": own for (model, budget), own in sorted(found.items())}


def _by(pairs: Sequence[Pair], name: Callable[[Pair], _Name]) -> dict[_Name, list[Pair]]:
    found: dict[_Name, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(name(pair), []).append(pair)
    return found


def speculation_lowers_latency(evidence: Evidence) -> Tested | Untestable:
    """(b) Latency without over with speculation, in every model and budget above 1."""
    pairs = evidence.drafting()
    if not pairs:
        return _NO_DRAFTS
    parts: list[Part] = [(cell, [(own, 1.0)], "latency_s", 1.0, 1) for cell, own in _cells(evidence, pairs).items()]
    return try_parts(evidence, parts, "x")


def ranks_speed_up_less(evidence: Evidence) -> Tested | Untestable:
    """(c) Speed-up over one rank: below the number of ranks for each model and number, below 1 for small models."""
    pairs = evidence.sharded()
    if not pairs:
        return _NO_RANKS
    parts: list[Part] = []
    for (model, ranks), own in _by(pairs, lambda p: (evidence.model(p.a), evidence.ranks(p.b))).items():
        parts.append((f"{model} on {ranks} ranks, against {ranks}", [(own, 1.0)], "latency_s", float(ranks), -1))
        if evidence.parameters(model) <= _SMALL:
            parts.append((f"{model} on {ranks} ranks, against 1", [(own, 1.0)], "latency_s", 1.0, -1))
    return try_parts(evidence, parts, "x", remark=_PUBLISHED)


def speculation_saves_more(evidence: Evidence) -> Tested | Untestable:
    """(d) The saving of cost per token by speculation: above 1, and above that of every tensor parallelism."""
    drafts, ranks = evidence.drafting(), evidence.sharded()
    shared = _places(evidence, drafts) & _places(evidence, ranks)
    drafts, ranks = ([p for p in own if _place(evidence, p) in shared] for own in (drafts, ranks))
    if not drafts or not ranks:
        why = "it needs pairs with and without speculation, and on one rank and several, of the same models and budgets"
        return Untestable(why=why)
    parts: list[Part] = [("speculation", [(drafts, 1.0)], "paper_cost", 1.0, 1)]
    for degree, own in _by(ranks, lambda p: evidence.ranks(p.b)).items():
        places = _places(evidence, own)
        same = [p for p in drafts if _place(evidence, p) in places]
        label = f"speculation over {degree} ranks"
        parts.append((label, [(same, 1.0), (own, -1.0)], "paper_cost", 1.0, 1))
    return try_parts(evidence, parts, "x")


def _place(evidence: Evidence, pair: Pair) -> tuple[str, int]:
    return evidence.model(pair.a), evidence.budget(pair.a)


def _places(evidence: Evidence, pairs: Sequence[Pair]) -> set[tuple[str, int]]:
    return {_place(evidence, pair) for pair in pairs}


def ranks_raise_cost(evidence: Evidence) -> Tested | Untestable:
    """(e) Cost per token on several ranks over that on one, in every model and budget above 1."""
    pairs = evidence.sharded()
    if not pairs:
        return _NO_RANKS
    parts: list[Part] = [(cell, [(own, -1.0)], "paper_cost", 1.0, 1) for cell, own in _cells(evidence, pairs).items()]
    return try_parts(evidence, parts, "x")


def larger_models_gain_more(evidence: Evidence) -> Tested | Untestable:
    """(h) The speed-up of speculation of each larger model over that of the next smaller one, above 1."""
    pairs = evidence.drafting()
    by_model = _by(pairs, lambda p: evidence.model(p.a))
    sized = sorted(
        (evidence.parameters(model), model) for model in by_model if not math.isnan(evidence.parameters(model))
    )
    if len(sized) < 2:
        points = tuple(point for pair in pairs for point in (pair.a, pair.b))
        return Untestable(why="it needs speculation on two models of known size", points=points)
    parts: list[Part] = []
    for (_, small), (_, large) in pairwise(sized):
        budgets = {evidence.budget(p.a) for p in by_model[small]} & {evidence.budget(p.a) for p in by_model[large]}
        more, less = ([p for p in by_model[model] if evidence.budget(p.a) in budgets] for model in (large, small))
        if not budgets:
            return Untestable(why=f"{large} and {small} share no budget")
        parts.append((f"{large} over {small}", [(more, 1.0), (less, -1.0)], "latency_s", 1.0, 1))
    return try_parts(evidence, parts, "x")
