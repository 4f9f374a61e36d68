"""``force``: budget forcing of s1 (arXiv:2501.19393), both ways.

At the budget the thinking is closed and an answer asked for in a second, short call. With ``waits`` above 0 a
thinking that ends by itself before the budget is lengthened: its end is replaced by "Wait", so many times. s1 stops
the engine at the end of thinking; here nothing stops it, since a stop string would change the timing, and what was
generated past that end counts against the budget and into the cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tts_compare.domain import Call, Problem, RequestRecord, Sampling
from tts_compare.errors import UsageError
from tts_compare.methods.method import Method, Options, Plan, Render, Tokens, rendered, seeded
from tts_compare.methods.prompts import PromptTemplate


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
    return "" if str(options["close"]) in written else f"\n{options['close']}\n\n{options['answer']}"


def check(options: Options) -> None:
    """Raises UsageError for counts that are none."""
    for name, least in (("waits", 0), ("answer_tokens", 1)):
        value = options[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"{name}: {value!r} must be a whole number of at least {least}")
    if not options["close"]:
        raise UsageError("close: it is empty; give the text that ends the model's thinking, such as </think>")


def most_generated(budget: int, options: Options) -> int:
    """The budget and the forced answer."""
    return budget + int(options["answer_tokens"])


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
)
