"""What an engine's adapter must know, all of it without effects: settings in, argv and payloads out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tts_compare.backends.facts import Machine, ModelFacts
from tts_compare.backends.recipe import Recipe
from tts_compare.domain import Call, Device, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricNames:
    """Sample names in the engine's Prometheus text, as they stand there (counters with ``_total``); None: it has none.

    A name that is absent from a scrape is unknown, not zero. ``accept_length`` and ``accept_rate`` are gauges over
    recent batches, which read 0 when speculation is off. ``kv_cache_share`` is a gauge from 0 to 1. ``queue_time`` and
    ``ttft`` name histograms of seconds (``_sum``, ``_count``). ``requests`` may carry labels: sum them. ``block`` is a
    gauge of the tokens in a KV block; with ``block_labels`` it is a sample whose first label of these that is a number
    says so.
    """

    accepted_tokens: str | None = None
    drafts: str | None = None
    draft_tokens: str | None = None
    accepted_per_position: str | None = None
    accept_length: str | None = None
    accept_rate: str | None = None
    prefix_queries: str | None = None
    prefix_hits: str | None = None
    running: str | None = None
    waiting: str | None = None
    preemptions: str | None = None
    kv_cache_share: str | None = None
    prompt_tokens: str | None = None
    generation_tokens: str | None = None
    requests: str | None = None
    queue_time: str | None = None
    ttft: str | None = None
    block: str | None = None
    block_labels: tuple[str, ...] = ()


class StartupCause(NamedTuple):
    """The line of a server's log that explains why it did not start, and what to try."""

    line: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What an engine's HTTP interface can do beyond a streamed answer with usage at its end.

    counts_chunks: a stream tells the tokens of each chunk, or holds one token a chunk, so that smaller budgets can be
    read off one long answer. choices: one request can ask for several (``n``). token_prompts: ``/completions`` takes
    token ids. lists_models: ``/v1/models`` can be relied on to name what is served.
    """

    counts_chunks: bool = True
    choices: bool = True
    token_prompts: bool = True
    lists_models: bool = True


FULL_WIRE = Wire()


class Backend(Protocol):
    """One engine. Implementations are frozen values without effects; ``BACKENDS`` lists them by name."""

    @property
    def name(self) -> str:
        """What ``--backend`` calls it."""

    @property
    def pinned(self) -> str | None:
        """The version that was tested, which ``engines install`` takes by default; None where it has no recipe."""

    @property
    def wire(self) -> Wire:
        """What its HTTP interface can do."""

    @property
    def ngram(self) -> str | None:
        """How its n-gram speculation works, a clause with its name; None where it has none."""

    @property
    def not_stated(self) -> tuple[str, ...]:
        """Fields of a Setting that it cannot be told: its own values hold."""

    @property
    def module(self) -> str | None:
        """The top-level module that an environment must have to launch it; None for a program, or nothing to launch."""

    @property
    def program(self) -> str | None:
        """The program's name where the engine is no Python module: looked for on PATH, or named by --engine-python."""

    @property
    def distributions(self) -> tuple[str, ...]:
        """Names of the distributions that may carry it, for asking its version; the usual one first."""

    @property
    def launched(self) -> bool:
        """Whether we start its server; False for a hosted endpoint."""

    @property
    def health_path(self) -> str | None:
        """GET path that answers 200 when ready, from the server's root."""

    @property
    def version_path(self) -> str | None:
        """GET path whose JSON has a ``version``."""

    @property
    def metrics_path(self) -> str | None:
        """GET path of the Prometheus text."""

    @property
    def flush_path(self) -> str | None:
        """POST path that empties the prefix cache."""

    @property
    def metrics(self) -> MetricNames:
        """What its figures are called."""

    @property
    def stop_grace_s(self) -> float:
        """How long it may take to end after SIGTERM before it is killed."""

    @property
    def shm_prefixes(self) -> tuple[str, ...]:
        """Names in /dev/shm that it leaves behind begin so."""

    def argv(
        self, setting: Setting, *, python: str, host: str, port: int, served_name: str, version: str | None = None
    ) -> tuple[str, ...]:
        """The server's command line.

        python: the environment's interpreter, or the path of the ``program``. version: the installed one, where known,
        which only adds flags that it has.
        """

    def env(self, setting: Setting, *, cores: Sequence[int] = (), model: ModelFacts | None = None) -> dict[str, str]:
        """What the server's environment adds to ours. cores: ids of usable cores, counted from 0 where not given."""

    def key_env(self, api_key: str) -> dict[str, str] | None:
        """Environment that makes the server ask for ``api_key``; None where it takes one on its command line alone."""

    def block_tokens(self, setting: Setting) -> int | None:
        """Tokens of a KV block, the unit of its prefix cache: as engine_args say, else its default; None if unknown."""

    def unsupported(self, setting: Setting, machine: Machine, model: ModelFacts | None = None) -> str | None:
        """Why this setting cannot run here, or None."""

    def request(self, call: Call, model: str) -> tuple[str, dict[str, Any]]:
        """A streamed request: path below the endpoint's base URL, and the JSON body."""

    def startup_cause(self, log_text: str) -> StartupCause:
        """Why a server that wrote this log ended."""

    def reported(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of a Setting as a running server's ``version_path`` tells them; those it does not tell are absent."""

    def check(self, version: str | None) -> str | None:
        """The module whose import shows that an environment is whole; None where nothing is launched."""

    def served_name(self, setting: Setting) -> str:
        """The model's name in requests to a server that we start."""

    def recipe(self, version: str, device: Device) -> Recipe | None:
        """How an environment with this version is made; None where none is known for the device."""
