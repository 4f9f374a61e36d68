"""A launcher, a method, a data set and a report of another package."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tts_compare.analysis.schema import Analysis
from tts_compare.dataset import Dataset
from tts_compare.domain import Problem
from tts_compare.launchers.local import LocalLauncher
from tts_compare.methods.truncate import METHOD
from tts_compare.reports import Look, RunView

TWICE = replace(METHOD, name="twice", summary="truncate under another name")


@dataclass(frozen=True, slots=True)
class Nearby(LocalLauncher):
    """This machine under another name."""

    name: str = "nearby"


def sums(fetch: bool) -> Dataset:
    """Two sums; nothing is fetched."""
    problems = tuple(Problem(id=str(n), problem=f"What is {n} + {n}?", answer=str(2 * n)) for n in (1, 2))
    return Dataset(name="sums", path=None, sha256="0" * 64, problems=problems, prompt_hint="fewshot")


class CountReport:
    """How many points there are."""

    suffix = ".txt"

    def render(self, analysis: Analysis, run: RunView, *, look: Look) -> str:
        """One line."""
        return f"{len(analysis.points)} points\n"
