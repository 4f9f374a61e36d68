"""The frozen values every room of the house speaks in; this module imports nothing of ours.

Units are in names (``_ns``, ``_us``, ``_s``, ``_usd``, ``_tokens``). Instants are integers of
``time.monotonic_ns()``; durations are derived from them, never stored. ``None`` means unknown.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["warmup", "measured", "spot_check"]
TokensSource = Literal["usage", "token_ids", "estimated"]
GradeStatus = Literal["correct", "incorrect", "no_answer", "ungraded"]
AnswerKind = Literal["math", "integer", "gsm8k", "choice"]
Policy = Literal["any", "final", "forced"]
Device = Literal["cpu", "cuda"]
SpeculationKind = Literal["none", "ngram", "draft_model", "eagle", "eagle3", "mtp"]
Severity = Literal["error", "warning", "note"]
#: The least severity on which ``--strict`` fails.
Strictness = Literal["error", "warning"]
ErrorKind = Literal[
    "connect",
    "timeout_connect",
    "timeout_first_byte",
    "timeout_idle",
    "timeout_total",
    "http_4xx",
    "http_429",
    "http_5xx",
    "in_band",
    "truncated_stream",
    "empty",
    "malformed",
    "cancelled",
    "server_died",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A warning: a reason not to trust a figure, and what to do about it. Made by ``codes.warn``.

    ``code`` is stable (``snake_case``); ``severity`` is ``error`` where a figure is wrong or missing, ``warning`` where
    it is weakened, ``note`` for context; ``fix`` is a command, ``advice`` the same in words; ``setting`` is the setting
    id it touches, None for the whole run; ``points`` are the labels of the points it touches, where it is known to
    touch some only.
    """

    code: str
    message: str
    advice: str = ""
    setting: str | None = None
    points: tuple[str, ...] = ()
    severity: Severity = "warning"
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a data set. ``kind`` names the answer kind (``math``, ``integer``, ``gsm8k``, ``choice``)."""

    id: str
    problem: str
    answer: str
    subject: str | None = None
    level: int | None = None
    kind: str = "math"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculation:
    """How draft tokens are proposed; the defaults of ``ngram`` are those of arXiv:2509.19645: 5 tokens, lookup 1..4."""

    kind: SpeculationKind = "none"
    num_tokens: int = 5
    lookup_min: int = 1
    lookup_max: int = 4
    model: str | None = None

    @property
    def id(self) -> str:
        """``none``, ``ngram``, ``ngram-3-2-4`` (num_tokens, lookup_min, lookup_max), ``eagle-5-<draft model>``."""
        if self.kind == "none":
            return "none"
        if self.kind == "ngram":
            own = (self.num_tokens, self.lookup_min, self.lookup_max)
            return "ngram" if own == (5, 1, 4) else f"ngram-{own[0]}-{own[1]}-{own[2]}"
        draft = f"-{model_slug(self.model)}" if self.model else ""
        return f"{self.kind}-{self.num_tokens}{draft}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A hosted endpoint's price, in US dollars per million tokens."""

    input: float
    output: float
    cached: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One server configuration that is compared; hashable, and named by ``id``.

    ``max_model_len`` in tokens; ``max_num_seqs`` is the batch limit; ``threads_per_rank`` matters on a CPU only.
    ``base_url`` marks a server that we do not start: hosted, or attached. ``hosted``: the endpoint is its owner's, who
    alone knows its devices, dtype and limits; an attached server is not hosted. ``replica`` names a copy that
    differs in nothing else.
    """

    backend: str
    model: str
    version: str | None = None
    revision: str | None = None
    device: Device = "cpu"
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    speculation: Speculation = field(default_factory=Speculation)
    dtype: str = "auto"
    max_model_len: int | None = None
    max_num_seqs: int = 16
    prefix_caching: bool = False
    threads_per_rank: int | None = None
    seed: int = 0
    engine_args: tuple[str, ...] = ()
    base_url: str | None = None
    api_key_env: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    price: Price | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrency: int | None = None
    replica: str | None = None
    hosted: bool = False

    @property
    def devices(self) -> int | None:
        """TP x PP x DP, the ranks on a CPU; None for a hosted endpoint, whose devices are not ours to count."""
        if self.hosted:
            return None
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel

    @property
    def id(self) -> str:
        """``<backend>[==version]/<model>/tp1-pp1-dp1/<speculation>[/<hash of the rest>][+<replica>]``."""
        engine = self.backend + (f"=={self.version}" if self.version else "")
        shape = f"tp{self.tensor_parallel}-pp{self.pipeline_parallel}-dp{self.data_parallel}"
        base = f"{engine}/{model_slug(self.model)}/{shape}/{self.speculation.id}"
        rest = {
            "revision": self.revision,
            "dtype": None if self.dtype == "auto" else self.dtype,
            "engine_args": self.engine_args or None,
            "base_url": self.base_url if self.hosted else None,
        }
        stated = {k: v for k, v in rest.items() if v is not None}
        copy = f"+{self.replica}" if self.replica else ""
        if not stated:
            return base + copy
        digest = hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:6]
        return f"{base}/{digest}{copy}"


def model_slug(model: str) -> str:
    """The last path component of a model's name, lower-cased: what a setting id and a served name hold."""
    return model.rstrip("/").rsplit("/", 1)[-1].lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a server answers. ``base_url`` ends in ``/v1``; the key never enters a repr."""

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Every sampling parameter a request states, so that no engine takes one from the model's generation_config."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request a method asks for. Exactly one of ``messages``, ``prompt`` and ``prompt_token_ids`` is set.

    messages: ``(role, content)`` pairs for ``/chat/completions``; prompt and prompt_token_ids go to
    ``/completions``. max_tokens: the cap on generated tokens. n: choices of one request.
    """

    max_tokens: int
    sampling: Sampling
    messages: tuple[tuple[str, str], ...] | None = None
    prompt: str | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    n: int = 1
    sample: int = 0
    call: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done on one running server in one go: every problem, by one method, at one budget and load.

    options: ``(name, value)`` pairs of the method, defaults filled in. derived_budgets: the smaller budgets read
    off this work's timelines (single pass), ascending. problem_limit: only the first so many problems.
    spot_check: a real rerun at a derived budget, to compare with what was derived; no point of its own.
    """

    method: str
    budget: int
    load: str
    samples: int
    sampling: Sampling
    options: tuple[tuple[str, str | int | float | bool], ...] = ()
    derived_budgets: tuple[int, ...] = ()
    problem_limit: int | None = None
    spot_check: bool = False


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
