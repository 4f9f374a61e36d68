"""The rows of a run: one attempt of a request, and the judgement of it."""

from __future__ import annotations

from dataclasses import dataclass, field

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

    us: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    chars: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestError:
    """Why an attempt failed: our kind, the HTTP status if any, the server's message with secrets masked.

    retry_after_s: the wait the server asked for in its Retry-After header, in seconds.
    """

    kind: ErrorKind
    status: int | None = None
    message: str = ""
    retry_after_s: float | None = None


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

    setting: str
    method: str
    budget: int
    load: str
    problem: str
    sample: int
    call: int
    repeat: int
    attempt: int
    phase: Phase
    request_id: str
    scheduled_ns: int | None = None
    connect_ns: int | None = None
    sent_ns: int | None = None
    first_byte_ns: int | None = None
    first_token_ns: int | None = None
    first_answer_ns: int | None = None
    last_token_ns: int | None = None
    end_ns: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    tokens_source: TokensSource | None = None
    finish_reason: str | None = None
    text: str = ""
    reasoning: str = ""
    timeline: Timeline = field(default_factory=Timeline)
    token_ids: tuple[int, ...] | None = None
    server: dict[str, float] | None = None
    doubts: tuple[str, ...] = ()
    round: int = 0
    session: int = 0
    limit_wait_ns: int = 0
    error: RequestError | None = None

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

    setting: str
    method: str
    budget: int
    load: str
    problem: str
    sample: int | None
    call: int
    repeat: int
    attempt: int
    policy: Policy
    cut_tokens: int | None
    status: GradeStatus
    answer: str | None
    layer: str
    grader_version: str
    group: int | None = None
    samples: int | None = None
    score: float | None = None
