"""``thinking_budget``: the engine ends the thinking at the budget, and the answer has tokens of its own."""

from __future__ import annotations

from dataclasses import replace

from tts_compare.domain import Marks, Problem, Sampling, Thinking
from tts_compare.methods.method import Method, Options, Plan, Render, Tokens, least, opening
from tts_compare.methods.prompts import PromptTemplate

#: Tokens that an engine may write to end the thinking: the mark, a line end before it, and some beside.
END_TOKENS = 8


def marks_of(options: Options | None = None, tokens: Tokens | None = None) -> Marks:
    """The marks of ``open`` and ``close``, else the usual ones, with their ids where a tokenizer is at hand."""
    marks = Marks(open=str(options["open"]), close=str(options["close"])) if options else Marks()
    if tokens is None:
        return marks
    return replace(
        marks,
        open_ids=tokens.encode(marks.open),
        close_ids=tokens.encode(marks.close),
        line_ids=tokens.encode("\n"),
    )


def control(budget: int, options: Options, tokens: Tokens | None = None) -> Thinking:
    """The budget, with the marks."""
    return Thinking(budget=budget, marks=marks_of(options, tokens))


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
    thinking = control(budget, options, tokens)
    most = most_generated(budget, options)
    for sample in range(samples):
        call = opening(problem, prompt=prompt, sampling=sampling, max_tokens=most, sample=sample)
        yield (replace(call, thinking=thinking),)


def most_generated(budget: int, options: Options) -> int:
    """The thinking, its end, and the answer."""
    return budget + END_TOKENS + int(options["answer_tokens"])


METHOD = Method(
    name="thinking_budget",
    summary="the engine ends the thinking at the budget; the answer has tokens of its own",
    plan=plan,
    options={"answer_tokens": 512, "open": "<think>", "close": "</think>"},
    needs_chat=True,
    zero_budget=True,
    most_generated=most_generated,
    most_context=most_generated,
    control=control,
    check=least(answer_tokens=1),
)
