"""What is asked of a server: problems, calls, and how they are sampled."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a data set. ``kind`` names the answer kind (``math``, ``integer``, ``gsm8k``, ``choice``)."""

    id: str
    problem: str
    answer: str
    subject: str | None = None
    level: int | None = None
    kind: str = "math"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a server answers. ``base_url`` ends in ``/v1``; the key never enters a repr."""

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Every sampling parameter a request states, so that no engine takes one from the model's generation_config."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request a method asks for. Exactly one of ``messages``, ``prompt`` and ``prompt_token_ids`` is set.

    messages: ``(role, content)`` pairs for ``/chat/completions``; prompt and prompt_token_ids go to
    ``/completions``. max_tokens: the cap on generated tokens. n: choices of one request.
    """

    max_tokens: int
    sampling: Sampling
    messages: tuple[tuple[str, str], ...] | None = None
    prompt: str | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    n: int = 1
    sample: int = 0
    call: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done on one running server in one go: every problem, by one method, at one budget and load.

    options: ``(name, value)`` pairs of the method, defaults filled in. derived_budgets: the smaller budgets read
    off this work's timelines (single pass), ascending. problem_limit: only the first so many problems.
    spot_check: a real rerun at a derived budget, to compare with what was derived; no point of its own.
    """

    method: str
    budget: int
    load: str
    samples: int
    sampling: Sampling
    options: tuple[tuple[str, str | int | float | bool], ...] = ()
    derived_budgets: tuple[int, ...] = ()
    problem_limit: int | None = None
    spot_check: bool = False
