"""``truncate``: the response is cut at the budget, by ``max_tokens``."""

from __future__ import annotations

from tts_compare.domain import Problem, Sampling
from tts_compare.methods.method import Method, Options, Plan, Render, Tokens, opening
from tts_compare.methods.prompts import PromptTemplate


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
    """One call a sample, one after the other: samples are repetitions, and must not be a load on each other."""
    for sample in range(samples):
        yield (opening(problem, prompt=prompt, sampling=sampling, max_tokens=budget, sample=sample),)


METHOD = Method(
    name="truncate",
    summary="one response, cut at the budget",
    plan=plan,
    single_pass=True,
)
