"""What every method promises, over METHODS: it ends, keeps to its budget, states its sampling, and is a pure plan."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tts_compare.config import MethodSpec
from tts_compare.domain import Call, Problem, RequestRecord, Sampling
from tts_compare.measure.replay import Batches, Task
from tts_compare.measure.writer import light
from tts_compare.methods import METHODS, PROMPTS, Method, PromptTemplate, Tokens
from tts_compare.methods.resolve import Resolved, resolve

PROBLEM = Problem(id="p", problem="What is $\\frac{1}{2} + {x}$?", answer="5")
SAMPLING = Sampling(temperature=0.7, top_p=0.9, top_k=40, min_p=0.1, repetition_penalty=1.1, seed=11)
WORDS = ("so ", "</think>", "\n\nProblem: ", "\\boxed{5}", "Wait ", "é ")
#: Every method with its defaults, and those whose options change the calls with these options too.
VARIANTS: Mapping[str, tuple[Mapping[str, str | int], ...]] = {
    "best_of_n": ({"scores": "scores.jsonl"},),
    "vote": ({}, {"requests": "one"}),
    "force": ({}, {"waits": 3}),
}
CASES = [(name, dict(options)) for name in METHODS for options in VARIANTS.get(name, ({},))]
methods = pytest.mark.parametrize(("name", "stated"), CASES)


def resolved(name: str, samples: int, stated: Mapping[str, str | int]) -> Resolved:
    return resolve(MethodSpec(name=name, options=tuple(stated.items())), samples=samples, sampling=SAMPLING)


def render(messages: tuple[tuple[str, str], ...]) -> str:
    return "".join(f"<{role}>{content}" for role, content in messages) + "<assistant><think>\n"


TOKENS = Tokens(
    encode=lambda text: tuple(text.encode()),
    decode=lambda ids: bytes(ids).decode(),
    encode_prompt=lambda text: (0, *text.encode()),
)


def answers(call: Call, rng: random.Random, *, exact: bool) -> tuple[RequestRecord, ...]:
    """Rows an engine might give: cut at max_tokens, or ended before; now and then a failure."""
    rows = []
    for choice in range(call.n):
        cut = rng.random() < 0.5
        tokens = call.max_tokens if cut else rng.randint(1, call.max_tokens)
        text = "".join(rng.choice(WORDS) for _ in range(min(tokens, 8)))
        rows.append(
            builders.record(
                method="m",
                budget=0,
                sample=call.sample + choice,
                call=call.call,
                completion_tokens=tokens,
                finish_reason=None if rng.random() < 0.05 else ("length" if cut else "stop"),
                text=text,
                token_ids=tuple(range(tokens)) if exact else None,
            )
        )
    return tuple(rows)


def start(this: Resolved, budget: int, prompt: PromptTemplate, *, exact: bool) -> Batches:
    return this.method.plan(
        PROBLEM,
        budget=budget,
        samples=this.samples,
        sampling=this.sampling,
        prompt=prompt,
        options=this.options,
        render=render,
        tokens=TOKENS if exact else None,
    )


def played(
    this: Resolved,
    budget: int,
    prompt: PromptTemplate,
    *,
    seed: int,
    exact: bool = False,
    told: Callable[[RequestRecord], RequestRecord] = lambda row: row,
) -> tuple[list[tuple[Call, ...]], dict[int, int]]:
    """Every batch of a plan played to its end, and the tokens each sample generated. told: what it sees of a row."""
    rng = random.Random(seed)
    batches: list[tuple[Call, ...]] = []
    generated: dict[int, int] = {}
    plan = start(this, budget, prompt, exact=exact)
    rows: tuple[RequestRecord, ...] | None = None
    while len(batches) < 1000:
        try:
            batch = next(plan) if rows is None else plan.send(tuple(map(told, rows)))
        except StopIteration:
            return batches, generated
        batches.append(batch)
        rows = tuple(row for call in batch for row in answers(call, rng, exact=exact))
        for row in rows:
            generated[row.sample] = generated.get(row.sample, 0) + (row.completion_tokens or 0)
    raise AssertionError("the plan does not end")


def prompts_of(method: Method) -> list[PromptTemplate]:
    return [p for p in PROMPTS.values() if p.kind == "chat" or not method.needs_chat]


@methods
@given(budget=st.integers(1, 300), samples=st.integers(2, 5), seed=st.integers(0, 2**16), exact=st.booleans())
def test_it_ends_within_what_it_promised_to_generate(
    name: str, stated: dict[str, str | int], *, budget: int, samples: int, seed: int, exact: bool
) -> None:
    this = resolved(name, samples, stated)
    for prompt in prompts_of(this.method):
        batches, generated = played(this, budget, prompt, seed=seed, exact=exact)
        most = this.method.most_generated(budget, this.options)
        assert set(generated) == set(range(samples))
        assert all(0 < tokens <= most for tokens in generated.values())
        assert all(call.max_tokens >= 1 for batch in batches for call in batch)


@methods
@given(budget=st.integers(1, 300), seed=st.integers(0, 2**16), waits=st.integers(0, 4))
def test_no_sequence_is_longer_than_it_promised(
    name: str, stated: dict[str, str | int], budget: int, seed: int, waits: int
) -> None:
    """With a tokenizer of one token a byte, which is the most that a text can take."""
    this = resolved(name, 2, {**stated, **({"waits": waits} if name == "force" else {})})
    for prompt in prompts_of(this.method):
        base = len(render(prompt.messages_for(PROBLEM)).encode()) if prompt.kind == "chat" else 0
        base = base or len(prompt.text_for(PROBLEM).encode())
        batches, _ = played(this, budget, prompt, seed=seed, exact=True)
        most = this.method.most_context(budget, this.options)
        for call in (call for batch in batches for call in batch if call.prompt_token_ids):
            assert len(call.prompt_token_ids or ()) + call.max_tokens <= base + most


@methods
@given(samples=st.integers(2, 5), seed=st.integers(0, 2**16))
def test_every_call_states_the_sampling_with_a_seed_of_its_sample(
    name: str, stated: dict[str, str | int], samples: int, seed: int
) -> None:
    this = resolved(name, samples, stated)
    for prompt in prompts_of(this.method):
        batches, _ = played(this, 64, prompt, seed=seed)
        for call in (call for batch in batches for call in batch):
            assert call.sampling == replace(SAMPLING, seed=SAMPLING.seed + call.sample)


@methods
@given(samples=st.integers(2, 5), seed=st.integers(0, 2**16), exact=st.booleans())
def test_the_same_rows_give_the_same_calls(
    name: str, stated: dict[str, str | int], samples: int, seed: int, exact: bool
) -> None:
    this = resolved(name, samples, stated)
    for prompt in prompts_of(this.method):
        first, second = (played(this, 64, prompt, seed=seed, exact=exact) for _ in range(2))
        assert first == second


@methods
@given(samples=st.integers(2, 5), seed=st.integers(0, 2**16), exact=st.booleans())
def test_the_light_rows_that_a_run_holds_give_the_same_calls(
    name: str, stated: dict[str, str | int], samples: int, seed: int, exact: bool
) -> None:
    this = resolved(name, samples, stated)
    for prompt in prompts_of(this.method):
        whole = played(this, 64, prompt, seed=seed, exact=exact)
        held = played(this, 64, prompt, seed=seed, exact=exact, told=lambda row: light(replace(row, method=name)))
        assert held == whole


@methods
@given(samples=st.integers(2, 5), seed=st.integers(0, 2**16), exact=st.booleans())
def test_every_row_has_a_key_of_its_own_and_calls_count_up(
    name: str, stated: dict[str, str | int], samples: int, seed: int, exact: bool
) -> None:
    this = resolved(name, samples, stated)
    for prompt in prompts_of(this.method):
        batches, _ = played(this, 64, prompt, seed=seed, exact=exact)
        keys = [(c.sample + i, c.call) for batch in batches for c in batch for i in range(c.n)]
        assert len(keys) == len(set(keys))
        assert all(number == 0 or (sample, number - 1) in keys for sample, number in keys)


@methods
def test_every_call_asks_in_exactly_one_way(name: str, stated: dict[str, str | int]) -> None:
    this = resolved(name, 2, stated)
    for prompt in prompts_of(this.method):
        for batch in played(this, 64, prompt, seed=1)[0]:
            for call in batch:
                asked = [call.messages, call.prompt, call.prompt_token_ids]
                assert sum(way is not None for way in asked) == 1
                assert (call.messages is None) or not this.method.needs_completions


@methods
def test_the_problem_stands_in_the_first_call_as_it_is_written(name: str, stated: dict[str, str | int]) -> None:
    this = resolved(name, 2, stated)
    for prompt in prompts_of(this.method):
        (first, *_), *_ = played(this, 64, prompt, seed=1)[0]
        said = first.prompt or "".join(content for _, content in first.messages or ())
        assert said.count(PROBLEM.problem) == 1
        assert "{problem}" not in said


@methods
def test_a_plan_is_what_the_replay_drives(name: str, stated: dict[str, str | int]) -> None:
    this = resolved(name, 2, stated)
    begun: list[Batches] = []

    def begin() -> Batches:
        begun.append(start(this, 8, PROMPTS["math"], exact=False))
        return begun[-1]

    task = Task(key=answers(Call(max_tokens=1, sampling=SAMPLING), random.Random(0), exact=False)[0].key, start=begin)
    assert next(task.start())


@pytest.mark.parametrize("name", METHODS)
def test_its_name_is_its_key_and_it_says_what_it_does(name: str) -> None:
    assert METHODS[name].name == name
    assert METHODS[name].summary
