"""``effort``: the level that a request states, ``--effort`` its axis; the budget only caps the answer."""

from __future__ import annotations

from dataclasses import replace

from tts_compare.domain import Problem, Sampling, Thinking
from tts_compare.methods.method import Method, Options, Plan, Render, Tokens, opening
from tts_compare.methods.prompts import PromptTemplate
from tts_compare.methods.thinking_budget import marks_of


def control(budget: int, options: Options, tokens: Tokens | None = None) -> Thinking:
    """The level."""
    return Thinking(effort=str(options["level"]), marks=marks_of(tokens=tokens))


def plan(
    problem: Problem,
    *,
    budget: int,
    samples: int,
    sampling: Sampling,
    prompt: PromptTemplate,
    options: Options,
    render: Render | None = None,
    tokens: Tokens | None = None,
) -> Plan:
    """One call a sample, one after the other."""
    for sample in range(samples):
        call = opening(problem, prompt=prompt, sampling=sampling, max_tokens=budget, sample=sample)
        yield (replace(call, thinking=control(budget, options, tokens)),)


METHOD = Method(
    name="effort",
    summary="the effort level that a request states, one point a level of --effort",
    plan=plan,
    options={"level": "medium"},
    needs_chat=True,
    by_level=True,
    control=control,
)
