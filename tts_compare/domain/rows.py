"""The rows of a run: one attempt of a request, and the judgement of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from tts_compare.domain.about import about
from tts_compare.domain.thinking import ThinkingSource
from tts_compare.domain.words import ErrorKind, GradeStatus, Phase, Policy, TokensSource


@dataclass(frozen=True, slots=True, kw_only=True)
class RowKey:
    """What one attempt is of. Choice ``i`` of an ``n > 1`` request is the row of ``sample + i``."""

    setting: str
    method: str
    budget: int
    load: str
    problem: str
    sample: int = 0
    call: int = 0
    repeat: int = 0
    attempt: int = 0

    @classmethod
    def of(cls, row: object) -> RowKey:
        """The key that a row holds among its own fields. Raises AttributeError where it lacks one."""
        return cls(**{name: getattr(row, name) for name in cls.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """When tokens arrived: deltas from the entry before, the first from ``sent_ns``.

    us: microseconds; tokens: tokens gained; chars: characters of reasoning + text gained. Equal lengths.
    """

    us: Annotated[tuple[int, ...], about("microseconds since the entry before, the first since `sent_ns`")] = ()
    tokens: Annotated[tuple[int, ...], about("tokens gained")] = ()
    chars: Annotated[tuple[int, ...], about("characters of reasoning and text gained")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestError:
    """Why an attempt failed: our kind, the HTTP status if any, the server's message with secrets masked.

    retry_after_s: the wait the server asked for in its Retry-After header, in seconds.
    """

    kind: Annotated[ErrorKind, about("our name of the failure")]
    status: Annotated[int | None, about("the HTTP status")] = None
    message: Annotated[str, about("the server's words, secrets masked")] = ""
    retry_after_s: Annotated[float | None, about("the wait it asked for in Retry-After, seconds")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One attempt of one request (one choice of it for n > 1): a row of ``records.jsonl``.

    ``*_ns`` are monotonic instants. ``connect_ns`` is when connecting began, None on a reused connection.
    ``sent_ns`` is just before the request's first byte on an established connection. ``scheduled_ns`` is when
    the pacer wanted it sent. ``token_ids`` are kept only where a chunk held more than one token (a cut inside a
    chunk needs them). ``server`` holds the engine's own figures for this request where it gives them.
    Rows that share ``request_id`` are choices of one request: ``prompt_tokens`` is charged once.

    round: which share of the problems, with server starts of its own, the problem belongs to.
    session: which process of a resumed run wrote the row, counted from 0; no latency spans two sessions.
    limit_wait_ns: how long this attempt waited for limits of ours (rates, concurrency, the spending limit) before it
    was sent. A request that was never sent because its server was gone has a ``server_died`` error and no instants.
    """

    setting: Annotated[
        str,
        about("`<backend>[==version]/<model>/tp1-pp1-dp1/<speculation>[/<rest>][+<replica>]`; see the manifest"),
    ]
    method: Annotated[str, about("the method's name; `effort-low` of an effort level")]
    budget: Annotated[int, about("the cap on generated tokens; of `thinking_budget` on thinking tokens")]
    load: Annotated[str, about("`c8`: closed loop, 8 problems at once; `r2.5`: open loop, 2.5 a second")]
    problem: Annotated[str, about("the problem's id")]
    sample: Annotated[int, about("which sample of the problem, from 0")]
    call: Annotated[int, about("which call of the method, from 0")]
    repeat: Annotated[int, about("which repeat, from 0")]
    attempt: Annotated[int, about("which attempt of the request, from 0")]
    phase: Annotated[
        Phase, about("`warmup`, `measured`, or `spot_check` of a derived budget; figures use `measured` rows only")
    ]
    request_id: Annotated[
        str, about("our id of the request; rows that share it are choices of one request, whose prompt is charged once")
    ]
    scheduled_ns: Annotated[int | None, about("when an open loop wanted it sent; null in a closed loop")] = None
    connect_ns: Annotated[int | None, about("when connecting began; null on a connection that was open")] = None
    sent_ns: Annotated[
        int | None, about("just before the request's first byte on an open connection; null where it was never sent")
    ] = None
    first_byte_ns: Annotated[int | None, about("first byte of the response")] = None
    first_token_ns: Annotated[
        int | None, about("first token: where the server's count rises, not a role-only chunk")
    ] = None
    first_answer_ns: Annotated[int | None, about("first token that is not reasoning")] = None
    last_token_ns: Annotated[int | None, about("last token")] = None
    end_ns: Annotated[int | None, about("end of the response")] = None
    prompt_tokens: Annotated[int | None, about("tokens of the prompt")] = None
    cached_tokens: Annotated[int | None, about("of these, found in a prefix cache")] = None
    completion_tokens: Annotated[
        int | None, about("generated tokens, with reasoning; null where the count cannot be (`usage_absurd`)")
    ] = None
    reasoning_tokens: Annotated[int | None, about("of these, reasoning, where the server counts it")] = None
    thinking_tokens: Annotated[
        int | None, about("of these, thinking, as counted here, its marks not among them; null where nothing tells")
    ] = None
    thinking_source: Annotated[
        ThinkingSource | None,
        about("how thinking was told apart: by `token_ids`, the server's `parser`, `marks` in the text, its own count"),
    ] = None
    tokens_source: Annotated[
        TokensSource | None,
        about("where the count comes from: the server's `usage`, `token_ids`, or `estimated` from the chunks"),
    ] = None
    finish_reason: Annotated[str | None, about("`stop` or `length`; anything else is a failure")] = None
    text: Annotated[str, about("the answer as it came; U+FFFD for half of a character")] = ""
    reasoning: Annotated[str, about("the reasoning, where the server tells it apart")] = ""
    timeline: Annotated[Timeline, about("when tokens arrived")] = field(default_factory=Timeline)
    token_ids: Annotated[
        tuple[int, ...] | None, about("kept where a chunk held several tokens: a cut inside a chunk needs them")
    ] = None
    server: Annotated[dict[str, float] | None, about("the engine's own figures of the request")] = None
    doubts: Annotated[tuple[str, ...], about("codes of warnings on this row")] = ()
    round: Annotated[int, about("the share of the problems, with server starts of its own; 0 in format 1")] = 0
    session: Annotated[
        int, about("which process of a resumed run wrote the row, from 0; no latency spans two; 0 in format 1")
    ] = 0
    limit_wait_ns: Annotated[
        int, about("nanoseconds that limits of ours held it back before it was sent; 0 in format 1")
    ] = 0
    error: Annotated[RequestError | None, about("why it failed; null for a response that came whole")] = None

    @property
    def key(self) -> RowKey:
        """The key of the row."""
        return RowKey.of(self)

    @property
    def ok(self) -> bool:
        """True for a success: no error and a finish_reason of ``stop`` or ``length``."""
        return self.error is None and self.finish_reason in ("stop", "length")

    @property
    def full_text(self) -> str:
        """Reasoning followed by text: what ``timeline.chars`` counts."""
        return self.reasoning + self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """The judgement of one record under one policy at one cut: a row of ``grades.jsonl``, or one vote.

    cut_tokens: the budget a prefix was graded at, None for the whole response. layer: which step of the
    grader decided. group: which class of equal answers, among the samples of its problem, the answer is in.
    For a vote ``sample`` is None, ``samples`` the number voting, and ``score`` the expected correctness in
    [0, 1] over all subsets of that size (the unbiased estimator), ``status`` that of the first ``samples``.
    """

    setting: Annotated[str, about("the setting's id")]
    method: Annotated[str, about("the method's name")]
    budget: Annotated[int, about("the cap on generated tokens")]
    load: Annotated[str, about("`c8`: 8 problems at once; `r2.5`: 2.5 a second")]
    problem: Annotated[str, about("the problem's id")]
    sample: Annotated[int | None, about("the sample that was judged; null for a vote")]
    call: Annotated[int, about("which call of the method, from 0")]
    repeat: Annotated[int, about("which repeat, from 0")]
    attempt: Annotated[int, about("which attempt of the request, from 0")]
    policy: Annotated[Policy, about("which box of a response is its answer")]
    cut_tokens: Annotated[int | None, about("the budget at which the response was cut; null for a whole one")]
    status: Annotated[
        GradeStatus, about("`correct`, `incorrect`, `no_answer`, or `ungraded`; of a vote, that of its first samples")
    ]
    answer: Annotated[str | None, about("the answer as extracted")]
    layer: Annotated[str, about("the step of the grader that decided")]
    grader_version: Annotated[str, about("version of the grader")]
    group: Annotated[int | None, about("class of equal answers among the samples of its problem")] = None
    samples: Annotated[int | None, about("for a vote, how many samples vote")] = None
    score: Annotated[float | None, about("for a vote, its expected correctness over all subsets of that size")] = None
