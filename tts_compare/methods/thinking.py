"""``thinking``: the chat template's switch on, for models that think only when asked.

``no_thinking`` with ``by = "template"`` is its opposite.
"""

from __future__ import annotations

from dataclasses import replace

from tts_compare.domain import Problem, Sampling, Thinking
from tts_compare.methods.method import Method, Options, Plan, Render, Tokens, opening
from tts_compare.methods.prompts import PromptTemplate
from tts_compare.methods.thinking_budget import marks_of


def control(budget: int, options: Options, tokens: Tokens | None = None) -> Thinking:
    """On."""
    return Thinking(enabled=True, marks=marks_of(tokens=tokens))


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
    """One call a sample, one after the other, cut at the budget."""
    for sample in range(samples):
        call = opening(problem, prompt=prompt, sampling=sampling, max_tokens=budget, sample=sample)
        yield (replace(call, thinking=control(budget, options, tokens)),)


METHOD = Method(
    name="thinking",
    summary="thinking switched on by the chat template, cut at the budget",
    plan=plan,
    needs_chat=True,
    single_pass=True,
    control=control,
)
