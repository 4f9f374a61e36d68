"""The fixed vocabularies of the domain: kinds, states, statuses."""

from __future__ import annotations

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
