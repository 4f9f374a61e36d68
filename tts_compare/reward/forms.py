"""The wire forms of reward models: what is sent for a response, and how the answer becomes one score. Pure.

vLLM's ``/pooling``, ``/classify`` and ``/score`` (docs.vllm.ai, "Pooling Models") and SGLang's ``/classify``
(docs.sglang.io, "SGLang Native APIs"), as they are documented there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tts_compare.domain import RowKey
from tts_compare.rundir.scores import Scorer

#: Rewards of several steps or tokens, in their order -> one.
REDUCE: Mapping[str, Callable[[list[float]], float]] = {
    "last": lambda rewards: rewards[-1],
    "min": min,
    "product": math.prod,
    "mean": fmean,
}
_PARAGRAPH = "\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseToScore:
    """A response to score. key: of its record."""

    key: RowKey
    problem: str
    response: str

    def messages(self, step: str) -> tuple[tuple[str, str], ...]:
        """Problem and response as a chat; ``step`` stands after every paragraph where it is not empty."""
        return ("user", self.problem), ("assistant", with_steps(self.response, step))


Render = Callable[[tuple[tuple[str, str], ...]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One wire form. body: the JSON that is sent; rows: what came back as rewards, a list of classes for each step.

    needs_template: the chat template is rendered here, because the endpoint takes a text.
    """

    path: str
    body: Callable[[ResponseToScore, Scorer, Render | None], dict[str, Any]]
    rows: Callable[[Any], list[list[float]]]
    needs_template: bool = False


def with_steps(response: str, step: str) -> str:
    """``step`` in place of the blank line after every paragraph, and at the end: the steps of a process reward."""
    if not step:
        return response
    paragraphs = [part for part in response.split(_PARAGRAPH) if part.strip()] or [response]
    return "".join(part + step for part in paragraphs)


def score_of(answer: Any, form: Form, reduce: str) -> float:
    """The score in an answer. Raises ValueError, saying what is wrong with it, where there is none."""
    try:
        rewards = [_reward(row) for row in form.rows(answer)]
    except (LookupError, TypeError) as error:
        raise ValueError(f"its shape is another ({type(error).__name__}: {error})") from error
    if not rewards:
        raise ValueError("no step was scored: set scores_step to the mark that the model puts its rewards at")
    score = float(REDUCE[reduce](rewards))
    if not math.isfinite(score):
        raise ValueError("the reward is no finite number")
    return score


def prompt_tokens(answer: Any) -> int | None:
    """How many tokens the reward model read, where the answer says so."""
    first = answer[0] if isinstance(answer, list) and answer else answer
    told = (first.get("usage") or first.get("meta_info")) if isinstance(first, dict) else None
    count = told.get("prompt_tokens") if isinstance(told, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _reward(classes: list[float]) -> float:
    """One number is the reward; of two it is the second, the probability that the step is good."""
    if len(classes) not in (1, 2):
        raise ValueError(f"{len(classes)} numbers where a reward has one or two: is it a reward model?")
    return float(classes[-1])


def _chat(question: ResponseToScore, scorer: Scorer, _render: Render | None) -> dict[str, Any]:
    messages = [{"role": role, "content": text} for role, text in question.messages(scorer.step)]
    return {"model": scorer.model, "messages": messages, **_raw(scorer)}


def _pair(question: ResponseToScore, scorer: Scorer, _render: Render | None) -> dict[str, Any]:
    response = with_steps(question.response, scorer.step)
    return {"model": scorer.model, "text_1": question.problem, "text_2": response, **_raw(scorer)}


def _text(question: ResponseToScore, scorer: Scorer, render: Render | None) -> dict[str, Any]:
    messages = question.messages(scorer.step)
    return {"model": scorer.model, "text": render(messages) if render else messages[-1][1]}


def _raw(scorer: Scorer) -> dict[str, bool]:
    """Nothing where the engine's own choice holds: older versions do not know the field."""
    return {} if scorer.activation else {"use_activation": False}


def _nested(value: list[Any]) -> list[list[float]]:
    """A list of numbers is one step's classes; a list of lists is the steps."""
    return value if not value or isinstance(value[0], list) else [value]


FORMS: Mapping[str, Form] = {
    "pooling": Form(path="/pooling", body=_chat, rows=lambda answer: _nested(answer["data"][0]["data"])),
    "classify": Form(path="/classify", body=_chat, rows=lambda answer: [answer["data"][0]["probs"]]),
    "score": Form(path="/score", body=_pair, rows=lambda answer: [[answer["data"][0]["score"]]]),
    "sglang": Form(
        path="/classify",
        body=_text,
        rows=lambda answer: _nested((answer[0] if isinstance(answer, list) else answer)["embedding"]),
        needs_template=True,
    ),
}
