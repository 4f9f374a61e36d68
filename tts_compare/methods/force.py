"""``force``: budget forcing of s1 (arXiv:2501.19393), both ways.

At the budget the thinking is closed and an answer asked for in a second, short call. With ``waits`` above 0 a
thinking that ends by itself before the budget is lengthened: its end is replaced by "Wait", so many times. s1 stops
the engine at the end of thinking; here nothing stops it, since a stop string would change the timing, and what was
generated past that end counts against the budget and into the cost.

With ``force_in = "engine"`` an engine that can write the end itself does so at the budget, in one timed request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tts_compare.domain import Call, Problem, RequestRecord, Sampling, Thinking
from tts_compare.errors import UsageError
from tts_compare.methods.method import Method, Options, Plan, Render, Tokens, least, opening, rendered, seeded
from tts_compare.methods.prompts import PromptTemplate
from tts_compare.methods.thinking_budget import marks_of

WAYS = ("client", "engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """Prompt and all that follows it. ids: the same in tokens, None where some of it is known as text only."""

    start: str
    written: str = ""
    ids: tuple[int, ...] | None = None

    def generated(self, record: RequestRecord) -> _Turn:
        """With what the model wrote."""
        known = record.token_ids is not None and len(record.token_ids) == record.completion_tokens
        ids = self.ids + record.token_ids if known and self.ids is not None and record.token_ids is not None else None
        return replace(self, written=self.written + record.full_text, ids=ids)

    def injected(self, text: str, tokens: Tokens | None) -> _Turn:
        """With what we write into the model's turn."""
        ids = None if self.ids is None or tokens is None else self.ids + (tokens.encode(text) if text else ())
        return replace(self, written=self.written + text, ids=ids)

    def kept(self, end: int) -> _Turn:
        """Cut back to the first ``end`` characters after the prompt, which no longer fall on tokens."""
        return replace(self, written=self.written[:end], ids=None)

    def call(self, max_tokens: int, sampling: Sampling, sample: int, number: int) -> Call:
        """The next call: the first as text, a continuation in tokens where they are known."""
        exact = self.ids if number else None
        return Call(
            max_tokens=max_tokens,
            sampling=sampling,
            prompt=self.start + self.written if exact is None else None,
            prompt_token_ids=exact,
            sample=sample,
            call=number,
        )


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
    """Sample after sample: the thinking, then if it did not end within the budget, the answer."""
    if in_engine(options):
        thinking = control(budget, options, tokens)
        end = len(tokens.encode(_end(options))) if tokens else len(_end(options).encode())
        most = budget + end + int(options["answer_tokens"])
        for sample in range(samples):
            call = opening(problem, prompt=prompt, sampling=sampling, max_tokens=most, sample=sample)
            yield (replace(call, thinking=thinking),)
        return
    start = rendered(problem, prompt=prompt, render=render, method="force", options=options)
    turn = _Turn(start=start, ids=tokens.encode_prompt(start) if tokens else None)
    for sample in range(samples):
        yield from _sample(
            turn,
            sample=sample,
            budget=budget,
            sampling=seeded(sampling, sample),
            prompt=prompt,
            options=options,
            tokens=tokens,
        )


def _sample(
    turn: _Turn,
    *,
    sample: int,
    budget: int,
    sampling: Sampling,
    prompt: PromptTemplate,
    options: Options,
    tokens: Tokens | None,
) -> Plan:
    left, number, waits = budget, 0, int(options["waits"])
    while True:
        (record,) = yield (turn.call(left, sampling, sample, number),)
        if not record.ok:
            return
        turn, number = turn.generated(record), number + 1
        left -= left if record.completion_tokens is None else record.completion_tokens
        if record.finish_reason == "length" or left < 1:
            break
        if waits == 0:
            return
        waits -= 1
        turn = turn.kept(_thinking_end(turn.written, prompt, options)).injected(str(options["wait"]), tokens)
    if record.finish_reason == "stop" or _answered(turn.written, prompt):
        return
    turn = turn.injected(_closing(turn.written, prompt, options), tokens)
    yield (turn.call(int(options["answer_tokens"]), sampling, sample, number),)


def _thinking_end(written: str, prompt: PromptTemplate, options: Options) -> int:
    """Where the thinking ends: before the last closing marker, or before the next problem of a completion."""
    end = written.rfind(str(options["close"]))
    if end < 0 and prompt.stop_at:
        end = written.find(prompt.stop_at)
    return len(written[: end if end >= 0 else len(written)].rstrip())


def _answered(written: str, prompt: PromptTemplate) -> bool:
    """A completion that has gone on to a problem of its own has given its answer before."""
    return prompt.stop_at is not None and prompt.stop_at in written


def _closing(written: str, prompt: PromptTemplate, options: Options) -> str:
    """What asks for the answer; nothing where the answer was being written when the budget ended."""
    if prompt.kind == "completion":
        return str(options["completion_answer"])
    return "" if str(options["close"]) in written else _end(options)


def _end(options: Options) -> str:
    """What is written at the end of thinking in a chat."""
    return f"\n{options['close']}\n\n{options['answer']}"


def in_engine(options: Options) -> bool:
    """Whether the engine writes the end of thinking."""
    return options["force_in"] == "engine"


def control(budget: int, options: Options, tokens: Tokens | None = None) -> Thinking | None:
    """The budget and the end, where the engine writes it."""
    if not in_engine(options):
        return None
    marks = marks_of({"open": "<think>", "close": options["close"]}, tokens)
    return Thinking(budget=budget, marks=marks, end=_end(options))


def check(options: Options) -> None:
    """Raises UsageError for counts that are none."""
    least(waits=0, answer_tokens=1)(options)
    if options["force_in"] not in WAYS:
        raise UsageError(f"force_in: {options['force_in']!r} is neither {' nor '.join(WAYS)}")
    if in_engine(options) and options["waits"]:
        raise UsageError('force_in: an engine ends thinking and does not lengthen it; waits needs force_in = "client"')
    if in_engine(options) and options["close"] != "</think>":
        raise UsageError('force_in: an engine\'s end of thinking is </think>; another close needs force_in = "client"')
    if not options["close"]:
        raise UsageError("close: it is empty; give the text that ends the model's thinking, such as </think>")


def most_generated(budget: int, options: Options) -> int:
    """The budget and the forced answer; of an engine that writes the end, also that, at most a token a byte."""
    end = len(_end(options).encode()) if in_engine(options) else 0
    return budget + end + int(options["answer_tokens"])


def most_context(budget: int, options: Options) -> int:
    """What is generated, and at most a token a byte of what is injected."""
    texts = [str(options["wait"])] * int(options["waits"])
    texts += [str(options["close"]), str(options["answer"]), str(options["completion_answer"])]
    return most_generated(budget, options) + sum(len(text.encode()) for text in texts) + 3


METHOD = Method(
    name="force",
    summary="thinking is closed at the budget and the answer asked for; with waits, thinking is lengthened",
    plan=plan,
    options={
        "force_in": "client",
        "answer_tokens": 64,
        "waits": 0,
        "wait": "\nWait",
        "close": "</think>",
        "answer": "**Final Answer**\n\nThe final answer is",
        "completion_answer": " The answer is",
    },
    reuses_prefix=True,
    reads_text=True,
    needs_completions=True,
    most_generated=most_generated,
    most_context=most_context,
    check=check,
    control=control,
    asks_in_chat=in_engine,
)
