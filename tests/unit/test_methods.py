"""What each method asks for, call by call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests import builders
from tts_compare.config import MethodSpec
from tts_compare.domain import Call, Problem, RequestError, RequestRecord, Sampling
from tts_compare.errors import UsageError
from tts_compare.methods import METHODS, PROMPTS, Plan, Tokens
from tts_compare.methods.no_thinking import prefilled
from tts_compare.methods.resolve import resolve

PROBLEM = Problem(id="p", problem="What is 2 + 2?", answer="4")
ROW = builders.record(
    method="m",
    budget=100,
    finish_reason=None,
)


def render(messages: tuple[tuple[str, str], ...]) -> str:
    return "|".join(content for _, content in messages) + "|A:"


BOS = 0
TOKENS = Tokens(
    encode=lambda text: tuple(text.encode()),
    decode=lambda ids: bytes(ids).decode(),
    encode_prompt=lambda text: (BOS, *text.encode()),
)


def plan(name: str, *, prompt: str = "math", samples: int = 1, tokens: Tokens | None = None, **options: Any) -> Plan:
    method = METHODS[name]
    return method.plan(
        PROBLEM,
        budget=100,
        samples=samples,
        sampling=Sampling(temperature=0.5, seed=3),
        prompt=PROMPTS[prompt],
        options={**method.options, **options},
        render=render,
        tokens=tokens,
    )


def said(text: str, tokens: int, finish: str = "stop", ids: tuple[int, ...] | None = None) -> tuple[RequestRecord]:
    return (replace(ROW, text=text, completion_tokens=tokens, finish_reason=finish, token_ids=ids),)


def only(batch: tuple[Call, ...]) -> Call:
    (call,) = batch
    return call


def test_truncate_is_one_call_with_max_tokens_at_the_budget() -> None:
    steps = plan("truncate")
    call = only(next(steps))
    assert (call.max_tokens, call.n, call.messages) == (100, 1, PROMPTS["math"].messages_for(PROBLEM))
    with pytest.raises(StopIteration):
        steps.send(said("4", 1))


def test_truncate_sends_its_samples_one_after_the_other() -> None:
    steps = plan("truncate", samples=3)
    calls = [only(next(steps)), only(steps.send(said("4", 1))), only(steps.send(said("4", 1)))]
    assert [(c.sample, c.sampling.seed) for c in calls] == [(0, 3), (1, 4), (2, 5)]


def test_vote_sends_all_samples_at_once_each_with_its_seed() -> None:
    batch = next(plan("vote", samples=4))
    assert [(c.sample, c.sampling.seed, c.n) for c in batch] == [(0, 3, 1), (1, 4, 1), (2, 5, 1), (3, 6, 1)]


def test_vote_can_ask_for_all_choices_in_one_request() -> None:
    assert (only(next(plan("vote", samples=4, requests="one")))).n == 4


def test_force_asks_for_the_answer_where_the_thinking_met_the_budget() -> None:
    steps = plan("force")
    first = only(next(steps))
    second = only(steps.send(said("I think", 100, "length")))
    assert first.prompt == render(PROMPTS["math"].messages_for(PROBLEM))
    assert second.prompt == first.prompt + "I think\n</think>\n\n**Final Answer**\n\nThe final answer is"
    assert (second.max_tokens, second.call, second.sampling) == (64, 1, first.sampling)
    with pytest.raises(StopIteration):
        steps.send(said(" 4", 64, "length"))


def test_force_is_done_where_the_model_ended_by_itself() -> None:
    steps = plan("force")
    next(steps)
    with pytest.raises(StopIteration):
        steps.send(said("I think</think> 4", 50))


def test_force_only_goes_on_where_the_answer_was_being_written() -> None:
    steps = plan("force")
    first = only(next(steps))
    second = only(steps.send(said("I think</think> The answer", 100, "length")))
    assert second.prompt == f"{first.prompt}I think</think> The answer"


def test_force_continues_in_token_ids_from_those_the_engine_read_the_prompt_as() -> None:
    steps = plan("force", tokens=TOKENS)
    first = only(next(steps))
    second = only(steps.send(said("x" * 100, 100, "length", ids=tuple(range(100)))))
    assert first.prompt is not None
    assert second.prompt is None
    closing = "\n</think>\n\n**Final Answer**\n\nThe final answer is"
    assert second.prompt_token_ids == (BOS, *first.prompt.encode(), *range(100), *closing.encode())


def test_force_falls_back_to_text_where_ids_do_not_cover_the_tokens() -> None:
    steps = plan("force", tokens=TOKENS)
    next(steps)
    second = only(steps.send(said("thought", 100, "length", ids=(1, 2, 3))))
    assert second.prompt_token_ids is None
    assert "thought" in (second.prompt or "")


def test_force_replaces_the_end_of_thinking_by_wait_so_many_times() -> None:
    steps = plan("force", waits=2)
    first = only(next(steps))
    second = only(steps.send(said("One. </think> 4", 10)))
    third = only(steps.send(said(" two.</think> 4", 20)))
    assert second.prompt == f"{first.prompt}One.\nWait"
    assert third.prompt == f"{first.prompt}One.\nWait two.\nWait"
    assert [first.max_tokens, second.max_tokens, third.max_tokens] == [100, 90, 70]
    with pytest.raises(StopIteration):
        steps.send(said(" three</think> 4", 5))


def test_force_lengthens_no_further_than_the_budget_and_then_asks() -> None:
    steps = plan("force", waits=5)
    next(steps)
    steps.send(said("One.</think> 4", 60))
    last = only(steps.send(said(" two", 40, "length")))
    assert last.max_tokens == 64
    assert (last.prompt or "").endswith(" two\n</think>\n\n**Final Answer**\n\nThe final answer is")


def test_force_in_a_completion_asks_in_the_manner_of_its_examples() -> None:
    steps = plan("force", prompt="fewshot")
    next(steps)
    assert (only(steps.send(said(" We add", 100, "length"))).prompt or "").endswith("Solution: We add The answer is")


def test_force_does_not_ask_again_where_a_completion_went_on_to_the_next_problem() -> None:
    steps = plan("force", prompt="fewshot")
    next(steps)
    with pytest.raises(StopIteration):
        steps.send(said(" The answer is \\boxed{4}.\n\nProblem: Wh", 100, "length"))


def test_force_ends_a_sample_whose_call_failed() -> None:
    steps = plan("force")
    next(steps)
    with pytest.raises(StopIteration):
        steps.send((replace(ROW, error=RequestError(kind="http_5xx")),))


@pytest.mark.parametrize("name", ["force", "no_thinking"])
def test_without_a_chat_template_a_method_that_needs_it_says_so(name: str) -> None:
    method = METHODS[name]
    steps = method.plan(
        PROBLEM, budget=1, samples=1, sampling=Sampling(), prompt=PROMPTS["math"], options=method.options
    )
    with pytest.raises(UsageError, match="needs its chat template"):
        next(steps)


@pytest.mark.parametrize("name", ["force", "no_thinking"])
def test_a_model_that_thinks_in_a_channel_is_refused_until_its_mark_is_given(name: str) -> None:
    method = METHODS[name]

    def first(**options: Any) -> Call:
        steps = method.plan(
            PROBLEM,
            budget=1,
            samples=1,
            sampling=Sampling(),
            prompt=PROMPTS["math"],
            options={**method.options, **options},
            render=lambda _: "<|start|>user<|message|>2 + 2?<|end|><|start|>assistant",
        )
        return only(next(steps))

    with pytest.raises(UsageError, match=f"set method_options.{name}.close"):
        first()
    assert "<|start|>assistant" in str(first(close="<|end|><|start|>assistant<|channel|>final<|message|>").prompt)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("<A>", "<A><think>\nDone.\n</think>\n\n"),
        ("<A><think>\n", "<A><think>\nDone.\n</think>\n\n"),
        ("<A><think>", "<A><think>\nDone.\n</think>\n\n"),
        ("<A></think>", "<A></think>"),
        ("<A><think>\n\n</think>\n\n", "<A><think>\n\n</think>\n\n"),
    ],
)
def test_no_thinking_finishes_the_block_and_opens_it_once(start: str, expected: str) -> None:
    assert prefilled(start, {"open": "<think>", "thought": "Done.", "close": "</think>"}) == expected


def test_options_are_filled_in_and_samples_and_sampling_may_be_of_the_method_alone() -> None:
    this = resolve(
        MethodSpec(name="vote", options=(("samples", 8), ("temperature", 0.6))), samples=1, sampling=Sampling()
    )
    assert (this.options, this.samples, this.sampling) == ({"requests": "separate"}, 8, Sampling(temperature=0.6))


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("votte", {}, "unknown method 'votte'; did you mean 'vote'"),
        ("vote", {"request": "one"}, "method_options.vote.request: unknown option; did you mean 'requests'"),
        ("vote", {"requests": "two"}, "method_options.vote.requests: 'two' is neither separate nor one"),
        ("vote", {"samples": 1}, "vote needs at least 2 samples"),
        ("vote", {"temperature": 0}, "vote needs samples that differ"),
        ("best_of_n", {}, "method_options.best_of_n.scores: best_of_n needs a file of scores"),
        ("best_of_n", {"scores": "s", "weighted": 1}, "best_of_n.weighted: 1 is not true or false"),
        ("force", {"waits": -1}, "method_options.force.waits: -1 must be"),
        ("force", {"answer_tokens": 0}, "method_options.force.answer_tokens: 0 must be"),
        ("force", {"waits": "two"}, "force.waits: 'two' is not a whole number"),
        ("force", {"waits": True}, "force.waits: True is not a whole number"),
        ("force", {"close": ""}, "method_options.force.close: it is empty"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_key(name: str, how: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(MethodSpec(name=name, options=tuple(how.items())), samples=4, sampling=Sampling(temperature=0.5))
