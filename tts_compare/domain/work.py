"""What is asked of a server: problems, calls, and how they are sampled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from tts_compare.domain.about import about
from tts_compare.domain.thinking import Thinking


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a data set. ``kind`` names the answer kind (``math``, ``integer``, ``gsm8k``, ``choice``)."""

    id: Annotated[str, about("the problem's id")]
    problem: Annotated[str, about("its text")]
    answer: Annotated[str, about("the reference answer; empty where it is unknown")]
    subject: Annotated[str | None, about("its subject")] = None
    level: Annotated[int | None, about("its difficulty")] = None
    kind: Annotated[str, about("how answers are judged: `math`, `integer`, `gsm8k` or `choice`")] = "math"


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

    temperature: Annotated[float, about("0 is greedy")] = 0.0
    top_p: Annotated[float, about("nucleus sampling's mass")] = 1.0
    top_k: Annotated[int, about("-1 is all")] = -1
    min_p: Annotated[float, about("least probability, relative to the greatest")] = 0.0
    repetition_penalty: Annotated[float, about("1 is none")] = 1.0
    seed: Annotated[int, about("the seed that requests state")] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request a method asks for. Exactly one of ``messages``, ``prompt`` and ``prompt_token_ids`` is set.

    messages: ``(role, content)`` pairs for ``/chat/completions``; prompt and prompt_token_ids go to
    ``/completions``. max_tokens: the cap on generated tokens. n: choices of one request. extra_body: further fields of
    the request that the user asked for, ``(name, JSON)`` pairs. thinking: what it asks of the model's thinking.
    """

    max_tokens: int
    sampling: Sampling
    messages: tuple[tuple[str, str], ...] | None = None
    prompt: str | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    n: int = 1
    sample: int = 0
    call: int = 0
    extra_body: tuple[tuple[str, str], ...] = ()
    thinking: Thinking | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done on one running server in one go: every problem, by one method, at one budget and load.

    options: ``(name, value)`` pairs of the method, defaults filled in. derived_budgets: the smaller budgets read
    off this work's timelines (single pass), ascending. problem_limit: only the first so many problems.
    spot_check: a real rerun at a derived budget, to compare with what was derived; no point of its own.
    """

    method: Annotated[str, about("the method's name")]
    budget: Annotated[int, about("the cap on generated tokens")]
    load: Annotated[str, about("how requests are spaced")]
    samples: Annotated[int, about("samples a problem")]
    sampling: Annotated[Sampling, about("sampling parameters")]
    options: Annotated[
        tuple[tuple[str, str | int | float | bool], ...],
        about("names and values of the method's options, defaults filled in"),
    ] = ()
    extra_body: Annotated[
        tuple[tuple[str, str], ...], about("further fields of the method's requests: names, and values as JSON")
    ] = ()
    derived_budgets: Annotated[tuple[int, ...], about("smaller budgets that are read off its timelines")] = ()
    problem_limit: Annotated[int | None, about("only the first so many problems; null is all")] = None
    spot_check: Annotated[bool, about("whether it is a real run at a derived budget, for comparison alone")] = False
