"""Which round each problem belongs to: equal shares, alike in their levels and subjects. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import groupby

from tts_compare.domain import Problem
from tts_compare.errors import UsageError

#: Problems a round needs: with fewer the lengths of a few answers decide its ratio.
LEAST_SHARE = 25


def shares_of(problems: Sequence[Problem], rounds: int, *, seed: int = 0) -> dict[str, int]:
    """The round, from 0, of each problem by its id; the same for the same problems, rounds and seed.

    Problems are dealt to the rounds one after another: by level, then subject, in an order drawn from ``seed`` within
    each of these strata; in the order of the data set where neither is known. Shares, and what each holds of a stratum,
    differ by one problem at most.
    """
    rng = random.Random(seed)  # noqa: S311 - a split, not a secret
    dealt: list[Problem] = []
    for stratum, members in groupby(sorted(problems, key=_stratum), key=_stratum):
        own = list(members)
        if stratum != _UNKNOWN:
            rng.shuffle(own)
        dealt += own
    return {problem.id: number % rounds for number, problem in enumerate(dealt)}


_UNKNOWN = (True, 0, "")


def _stratum(problem: Problem) -> tuple[bool, int, str]:
    return (problem.level is None, problem.level or 0, problem.subject or "")


def check_shares(problems: int, rounds: int, *, whole: int) -> str | None:
    """What weakens these rounds, None where nothing does. whole: problems of the data set before sampling.

    Raises UsageError where a share would hold fewer than LEAST_SHARE problems though the data set has enough of them.
    """
    if rounds == 1 or not problems or problems >= rounds * LEAST_SHARE:
        return None
    said = f"{rounds} rounds of {problems} problems are {problems // rounds} problems a round"
    if whole >= rounds * LEAST_SHARE or problems < rounds:
        fitting = max(1, problems // LEAST_SHARE)
        more = f"--problems {rounds * LEAST_SHARE} or " if whole >= rounds * LEAST_SHARE else ""
        raise UsageError(f"{said}, and a round needs {LEAST_SHARE}: give {more}--rounds {fitting}")
    return f"{said}, and a round should have {LEAST_SHARE}; the whole data set has {whole}"
