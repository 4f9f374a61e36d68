"""``no_thinking``: the thinking block is written for the model, as finished (arXiv:2504.09858)."""

from __future__ import annotations

from tts_compare.domain import Call, Problem, Sampling
from tts_compare.methods.method import Method, Options, Plan, Render, Tokens, rendered, seeded
from tts_compare.methods.prompts import PromptTemplate


def prefilled(start: str, options: Options) -> str:
    """The rendered prompt with a finished thinking block; some chat templates have begun or ended it already."""
    if start.rstrip().endswith(str(options["close"])):
        return start
    opened = "" if start.rstrip().endswith(str(options["open"])) else f"{options['open']}\n"
    gap = "" if opened or start.endswith("\n") else "\n"
    return f"{start}{gap}{opened}{options['thought']}\n{options['close']}\n\n"


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
    """One completion a sample, one after the other."""
    start = prefilled(rendered(problem, prompt=prompt, render=render, method="no_thinking", options=options), options)
    for sample in range(samples):
        yield (Call(max_tokens=budget, sampling=seeded(sampling, sample), prompt=start, sample=sample),)


def most_context(budget: int, options: Options) -> int:
    """The budget, and at most a token a byte of what is written for the model."""
    return budget + len(prefilled("", options).encode())


METHOD = Method(
    name="no_thinking",
    summary="the thinking block is prefilled as finished, only the answer is generated",
    plan=plan,
    options={"open": "<think>", "thought": "Okay, I think I have finished thinking.", "close": "</think>"},
    needs_completions=True,
    needs_chat=True,
    single_pass=True,
    most_context=most_context,
)
