"""Hosted and already running OpenAI-compatible endpoints: standard fields only, in the dialect each takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tts_compare.backends.controls import Controls
from tts_compare.backends.facts import Machine, ModelFacts
from tts_compare.backends.hosted_controls import HOSTED_CONTROLS
from tts_compare.backends.limits import out_of_range
from tts_compare.backends.payload import CHAT_PATH, prompt_part
from tts_compare.backends.protocol import FULL_WIRE, MetricNames, StartupCause, Wire
from tts_compare.backends.recipe import Recipe
from tts_compare.domain import Call, Device, Setting

TokensField = Literal["max_tokens", "max_completion_tokens"]

# OpenAI's documented families: reasoning models take max_completion_tokens and refuse temperature and top_p
# (guide "Reasoning models"; API reference of chat completions). The gpt-5 chat models are not reasoning models.
_REASONING = re.compile(r"^(o\d|gpt-5)(?![\w.-]*-chat)")

# How a refusal names a field that a request can do without.
_NAMED = {
    "stream_options": r"\b(stream_options|include_usage)\b",
    "temperature": r"\btemperature\b",
    "top_p": r"\btop_p\b",
    "seed": r"\bseed\b",
    "n": r"['\"`]n['\"`]",
    "stream": r"['\"`]stream['\"`]",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Which standard fields an endpoint takes; ``stream``: whether its answers are asked for as streams."""

    tokens_field: TokensField = "max_tokens"
    temperature: bool = True
    top_p: bool = True
    seed: bool = True
    n: bool = True
    stream_options: bool = True
    stream: bool = True

    def after_refusal(self, message: str) -> Dialect | None:
        """The dialect to try next, after a 400 that names a field; None where it names none that we can do without."""
        if re.search(r"\bmax_(completion_)?tokens\b", message):
            other: TokensField = (
                "max_tokens" if self.tokens_field == "max_completion_tokens" else "max_completion_tokens"
            )
            return replace(self, tokens_field=other)
        for field, named in _NAMED.items():
            if getattr(self, field) and re.search(named, message):
                without: dict[str, Any] = {field: False}
                return replace(self, **without)
        return None

    def left_out(self) -> tuple[str, ...]:
        """Fields that requests do not state in this dialect: the endpoint's own values hold, and are not known."""
        stated = {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seed}
        return (*(name for name, is_stated in stated.items() if not is_stated), "top_k", "min_p", "repetition_penalty")


def dialect_for(model: str) -> Dialect:
    """By documented model families; a gateway's ``vendor/model`` counts as the model."""
    family = model.rstrip("/").rsplit("/", 1)[-1].lower()
    if _REASONING.match(family):
        return Dialect(tokens_field="max_completion_tokens", temperature=False, top_p=False)
    return Dialect()


NO_METRICS = MetricNames()


@dataclass(frozen=True, slots=True)
class OpenAI:
    """An endpoint that we do not start. ``dialect`` overrides the model family's."""

    dialect: Dialect | None = None
    name: str = "openai"
    module: None = None
    program: None = None
    distributions: tuple[str, ...] = ()
    pinned: None = None
    launched: bool = False
    wire: Wire = FULL_WIRE
    ngram: None = None
    controls: Controls = HOSTED_CONTROLS
    not_stated: tuple[str, ...] = ()
    health_path: None = None
    version_path: None = None
    metrics_path: None = None
    flush_path: None = None
    stop_grace_s: float = 0.0
    shm_prefixes: tuple[str, ...] = ()
    metrics: MetricNames = NO_METRICS

    def argv(
        self, setting: Setting, *, python: str, host: str, port: int, served_name: str, version: str | None = None
    ) -> tuple[str, ...]:
        """Empty: nothing is started."""
        return ()

    def env(self, setting: Setting, *, cores: Sequence[int] = (), model: ModelFacts | None = None) -> dict[str, str]:
        """Empty: nothing is started."""
        return {}

    def key_env(self, api_key: str) -> dict[str, str] | None:
        """None: the key is the user's, not ours to set."""
        return None

    def block_tokens(self, setting: Setting) -> int | None:
        """None: its cache is its owner's."""
        return None

    def unsupported(self, setting: Setting, machine: Machine, model: ModelFacts | None = None) -> str | None:
        """It needs an address; speculation and parallelism are its owner's."""
        if not setting.base_url:
            return "an openai setting needs a base URL (--base-url, or OPENAI_BASE_URL)"
        if (setting.quantization, setting.kv_dtype, setting.expert_parallel) != ("none", "auto", False):
            return "how a hosted endpoint stores weights and caches is not ours to set"
        if setting.speculation.kind != "none":
            return "how a hosted endpoint speculates is not ours to set"
        return out_of_range(setting)

    def request(self, call: Call, model: str) -> tuple[str, dict[str, Any]]:
        """Only fields of OpenAI's own API, those that the dialect takes."""
        dialect = self.dialect or dialect_for(model)
        path, prompt = prompt_part(call)
        sampling = call.sampling
        field = dialect.tokens_field if path == CHAT_PATH else "max_tokens"
        body: dict[str, Any] = {"model": model, **prompt, field: call.max_tokens, "stream": dialect.stream}
        if dialect.n and call.n != 1:
            body["n"] = call.n
        if dialect.temperature:
            body["temperature"] = sampling.temperature
        if dialect.top_p:
            body["top_p"] = sampling.top_p
        if dialect.seed:
            body["seed"] = sampling.seed
        if dialect.stream and dialect.stream_options:
            body["stream_options"] = {"include_usage": True}
        return path, body

    def startup_cause(self, log_text: str) -> StartupCause:
        """Nothing was started, so there is nothing to find."""
        return StartupCause("nothing was started", "")

    def reported(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Nothing: its settings are its owner's."""
        return {}

    def check(self, version: str | None) -> str | None:
        """None: nothing is launched."""
        return None

    def served_name(self, setting: Setting) -> str:
        """The name as it is written: an owner's names may differ in case and in what stands before a slash."""
        return setting.model

    def recipe(self, version: str, device: Device) -> Recipe | None:
        """None: nothing is installed."""
        return None
