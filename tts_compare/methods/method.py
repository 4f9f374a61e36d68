"""What a method is: a pure plan of calls for one problem, and what must be known about it beforehand."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from tts_compare.domain import Call, Problem, RequestRecord, Sampling, Thinking
from tts_compare.errors import UsageError
from tts_compare.methods.prompts import Messages, PromptTemplate

_CHANNELS = "<|start|>assistant"  # how a prompt of gpt-oss ends
OptionValue = str | int | float | bool
Options = Mapping[str, OptionValue]
Plan = Generator[tuple[Call, ...], tuple[RequestRecord, ...], None]
Render = Callable[[Messages], str]
Encode = Callable[[str], tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A model's tokenizer: text to ids and back, no special tokens added or dropped.

    encode_prompt: with the special tokens that the tokenizer puts around a text, as an engine reads a completion.
    """

    encode: Encode
    decode: Callable[[tuple[int, ...]], str]
    encode_prompt: Encode


class PlanFunction(Protocol):
    """Plans one problem: yields the calls to send at once, is sent their final rows, and ends when it has enough.

    The rows come in the order of the calls, a call of ``n`` choices giving ``n`` in the order of the choices.
    budget: cap on generated tokens of one sample. samples: how many. prompt, render, tokens: the template, the
    model's chat template (messages to prompt) and its tokenizer.
    The same arguments and rows give the same calls.
    """

    def __call__(
        self,
        problem: Problem,
        *,
        budget: int,
        samples: int,
        sampling: Sampling,
        prompt: PromptTemplate,
        options: Options,
        render: Render | None = None,
        tokens: Tokens | None = None,
    ) -> Plan: ...


def _no_check(_options: Options) -> None:
    return None


def _no_control(_budget: int, _options: Options, _tokens: Tokens | None = None) -> Thinking | None:
    return None


def _never(_options: Options) -> bool:
    return False


def least(**counts: int) -> Callable[[Options], None]:
    """A check of options that are whole numbers of at least so much; it raises UsageError."""

    def check(options: Options) -> None:
        for name, lowest in counts.items():
            value = options[name]
            if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                raise UsageError(f"{name}: {value!r} must be a whole number of at least {lowest}")

    return check


def _budget_alone(budget: int, _options: Options) -> int:
    return budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to spend test-time compute.

    options: names and defaults. reuses_prefix: later calls begin with earlier tokens, so the prefix cache belongs
    to the method. reads_text: later calls depend on what was written, not only on how earlier ones ended.
    needs_completions: it writes into the model's turn, for which ``/v1/completions`` and the rendered
    chat template are needed. needs_chat: it makes sense for a chat prompt alone. single_pass: a response at a large
    budget holds those at smaller ones. least_samples: below that it is not the method. most_generated(budget,
    options): tokens one sample may generate in all. most_context(budget, options): tokens that may come after the
    prompt in one sequence. check: raises UsageError for options that do not fit together. control(budget, options,
    tokens): what its requests ask of the model's thinking, None where nothing. asks_in_chat(options): with these it
    needs no completions after all. zero_budget: a budget of 0 tokens means something. by_level: its axis is
    ``--effort``, and each level is a point named ``<name>-<level>``.
    """

    name: str
    summary: str
    plan: PlanFunction
    options: Options = field(default_factory=dict)
    reuses_prefix: bool = False
    reads_text: bool = False
    needs_completions: bool = False
    needs_chat: bool = False
    single_pass: bool = False
    least_samples: int = 1
    most_generated: Callable[[int, Options], int] = _budget_alone
    most_context: Callable[[int, Options], int] = _budget_alone
    check: Callable[[Options], None] = _no_check
    control: Callable[[int, Options, Tokens | None], Thinking | None] = _no_control
    asks_in_chat: Callable[[Options], bool] = _never
    zero_budget: bool = False
    by_level: bool = False

    def writes_turn(self, options: Options) -> bool:
        """Whether with these options it writes into the model's turn."""
        return self.needs_completions and not self.asks_in_chat(options)


def seeded(sampling: Sampling, sample: int) -> Sampling:
    """The sampling of one sample: its seed is the first one's plus its number."""
    return replace(sampling, seed=sampling.seed + sample)


def opening(
    problem: Problem, *, prompt: PromptTemplate, sampling: Sampling, max_tokens: int, sample: int = 0, n: int = 1
) -> Call:
    """The first call of a sample: the chat's messages, or the completion's prompt."""
    chat = prompt.kind == "chat"
    return Call(
        max_tokens=max_tokens,
        sampling=seeded(sampling, sample),
        messages=prompt.messages_for(problem) if chat else None,
        prompt=None if chat else prompt.text_for(problem),
        n=n,
        sample=sample,
    )


def rendered(problem: Problem, *, prompt: PromptTemplate, render: Render | None, method: str, options: Options) -> str:
    """The prompt as one text that ends where the model's turn begins.

    Raises UsageError where there is no chat template, or the model thinks in a channel and ``close`` is left as it is.
    """
    if prompt.kind == "completion":
        return prompt.text_for(problem)
    if render is None:
        raise UsageError(
            f"{method} writes into the model's turn and needs its chat template, which was not found; "
            "give --model a directory that has one, or a completion prompt (--prompt fewshot)"
        )
    text = render(prompt.messages_for(problem))
    if text.endswith(_CHANNELS) and options["close"] == "</think>":
        raise UsageError(
            f"{method} writes into the model's turn, and this model thinks in a channel, not in a <think> block; "
            f"set method_options.{method}.close to what ends its thinking (docs/methods.md)"
        )
    return text
