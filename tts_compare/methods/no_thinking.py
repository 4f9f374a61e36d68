"""``no_thinking``: the thinking block is written for the model, as finished (arXiv:2504.09858).

With ``by = "template"`` the chat template's own switch is used in its place.
"""

from __future__ import annotations

from dataclasses import replace

from tts_compare.domain import Call, Problem, Sampling, Thinking
from tts_compare.errors import UsageError
from tts_compare.methods.method import Method, Options, Plan, Render, Tokens, opening, rendered, seeded
from tts_compare.methods.prompts import PromptTemplate
from tts_compare.methods.thinking_budget import marks_of

WAYS = ("prefill", "template")


def prefilled(start: str, options: Options) -> str:
    """The rendered prompt with a finished thinking block; some chat templates have begun or ended it already."""
    if start.rstrip().endswith(str(options["close"])):
        return start
    opened = "" if start.rstrip().endswith(str(options["open"])) else f"{options['open']}\n"
    gap = "" if opened or start.endswith("\n") else "\n"
    return f"{start}{gap}{opened}{options['thought']}\n{options['close']}\n\n"


def by_template(options: Options) -> bool:
    """Whether the chat template's switch is used."""
    return options["by"] == "template"


def control(budget: int, options: Options, tokens: Tokens | None = None) -> Thinking | None:
    """Off, where the template's switch is used; a block that is written asks nothing of the engine."""
    return Thinking(enabled=False, marks=marks_of(options, tokens)) if by_template(options) else None


def check(options: Options) -> None:
    """Raises UsageError for a way of switching thinking off that there is not."""
    if options["by"] not in WAYS:
        raise UsageError(f"by: {options['by']!r} is neither {' nor '.join(WAYS)}")


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
    """One request a sample, one after the other."""
    if by_template(options):
        for sample in range(samples):
            call = opening(problem, prompt=prompt, sampling=sampling, max_tokens=budget, sample=sample)
            yield (replace(call, thinking=control(budget, options, tokens)),)
        return
    start = prefilled(rendered(problem, prompt=prompt, render=render, method="no_thinking", options=options), options)
    for sample in range(samples):
        yield (Call(max_tokens=budget, sampling=seeded(sampling, sample), prompt=start, sample=sample),)


def most_context(budget: int, options: Options) -> int:
    """The budget, and at most a token a byte of what is written for the model."""
    return budget + (0 if by_template(options) else len(prefilled("", options).encode()))


METHOD = Method(
    name="no_thinking",
    summary="the thinking block is prefilled as finished, only the answer is generated",
    plan=plan,
    options={
        "by": "prefill",
        "open": "<think>",
        "thought": "Okay, I think I have finished thinking.",
        "close": "</think>",
    },
    needs_completions=True,
    needs_chat=True,
    single_pass=True,
    most_context=most_context,
    check=check,
    control=control,
    asks_in_chat=by_template,
)
