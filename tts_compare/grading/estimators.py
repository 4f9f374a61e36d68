"""Unbiased estimates over all subsets of m among k samples: pass@m, majority, best of N. Pure arithmetic.

Subsets keep the order of the samples, and every tie goes to the first seen.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

SUBSET_LIMIT = 5_000
_SEED = 20_250_919


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that k of n samples, c of them correct, hold a correct one: 1 - C(n-c, k) / C(n, k).

    The unbiased estimator of Chen et al. (arXiv:2107.03374). Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} of {n} samples with {c} correct does not exist")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def majority(groups: Sequence[int | None]) -> int | None:
    """The group with most votes, the first seen of several; None votes for nothing."""
    counts = Counter(group for group in groups if group is not None)
    return max(counts, key=lambda group: counts[group]) if counts else None


def majority_scores(groups: Sequence[int | None], right: int | None) -> list[float]:
    """For m = 1 ... k the share of all m-subsets whose majority is the group ``right``; exact, in closed form.

    With p the place of the first right vote and j their number, the others may hold fewer than j votes each, or
    j where all of them come after p. Generating polynomials count the ways, each one integer with k + 1 bits a
    coefficient: no count exceeds 2**k.
    """
    k = len(groups)
    slot, wins = k + 1, 0
    held: dict[int | None, list[int]] = {}
    for at, group in enumerate(groups):
        held.setdefault(group, []).append(at)
    places = held.pop(right, []) if right is not None else []
    silent = len(held.pop(None, []))
    for votes in range(1, len(places) + 1):
        rivals = [own for own in held.values() if len(own) >= votes]
        fewer = [sum(math.comb(len(own), size) << size * slot for size in range(votes)) for own in rivals]
        # Places after which the rivals hold as many votes each share their product.
        chosen: Counter[tuple[int, ...]] = Counter()
        for seen, place in enumerate(places):
            ties = tuple(math.comb(len(own) - bisect(own, place), votes) for own in rivals)
            chosen[ties] += math.comb(len(places) - seen - 1, votes - 1)
        ways = 0
        for ties, count in chosen.items():
            product = count
            for few, tie in zip(fewer, ties, strict=True):
                product *= few + (tie << votes * slot)
            ways += product
        free = silent + sum(len(own) for own in held.values() if len(own) < votes)
        wins += ways * (1 + (1 << slot)) ** free << votes * slot
    return [(wins >> m * slot & (1 << slot) - 1) / math.comb(k, m) for m in range(1, k + 1)]


def best_scores(scores: Sequence[float], correct: Sequence[bool]) -> list[float]:
    """For m = 1 ... k the share of all m-subsets whose best scored sample is correct; exact, in closed form."""
    k = len(scores)
    ranked = sorted(range(k), key=lambda at: (-scores[at], at))
    return [
        sum(math.comb(k - 1 - rank, m - 1) for rank, at in enumerate(ranked) if correct[at]) / math.comb(k, m)
        for m in range(1, k + 1)
    ]


def weighted_choice(groups: Sequence[int | None], scores: Sequence[float]) -> int | None:
    """The group with the largest sum of scores, the first seen of several; None where no sample has an answer."""
    sums: dict[int, float] = {}
    for group, score in zip(groups, scores, strict=True):
        if group is not None:
            sums[group] = sums.get(group, 0.0) + score
    return max(sums, key=lambda group: sums[group]) if sums else None


def weighted_score(groups: Sequence[int | None], scores: Sequence[float], right: int | None, m: int) -> float:
    """The share of m-subsets whose weighted choice is ``right``: of all where there are at most 5,000, else of 5,000
    drawn with a fixed seed.
    """
    if right is None:
        return 0.0
    hits = count = 0
    for subset in _subsets(len(groups), m):
        hits += weighted_choice([groups[at] for at in subset], [scores[at] for at in subset]) == right
        count += 1
    return hits / count


def sizes(k: int, asked: int | None = None) -> list[int]:
    """The numbers of samples reported: 1, 2, 4, ... and k, but k only where all that were asked for are there."""
    powers = [2**power for power in range(k.bit_length()) if 2**power <= k]
    whole = [k] if k and k not in powers and (asked is None or asked == k) else []
    return powers + whole


def _subsets(k: int, m: int) -> Iterator[Sequence[int]]:
    if math.comb(k, m) <= SUBSET_LIMIT:
        yield from combinations(range(k), m)
        return
    draw = random.Random(f"{_SEED}:{k}:{m}")  # noqa: S311 - a fixed sample of subsets, not a secret
    for _ in range(SUBSET_LIMIT):
        yield sorted(draw.sample(range(k), m))
