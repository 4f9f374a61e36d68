"""The frozen values that every package speaks in; it imports nothing of ours.

Units are in names (``_ns``, ``_us``, ``_s``, ``_usd``, ``_tokens``). Instants are integers of
``time.monotonic_ns()``; durations are derived from them, never stored. ``None`` means unknown.
"""

from tts_compare.domain.rows import Grade, RequestError, RequestRecord, RowKey, Timeline
from tts_compare.domain.setting import Price, Setting, Speculation, model_slug
from tts_compare.domain.warning import RunWarning
from tts_compare.domain.words import (
    AnswerKind,
    Device,
    ErrorKind,
    GradeStatus,
    Phase,
    Policy,
    Severity,
    SpeculationKind,
    Strictness,
    TokensSource,
)
from tts_compare.domain.work import Call, Endpoint, Problem, Sampling, Work

__all__ = [
    "AnswerKind",
    "Call",
    "Device",
    "Endpoint",
    "ErrorKind",
    "Grade",
    "GradeStatus",
    "Phase",
    "Policy",
    "Price",
    "Problem",
    "RequestError",
    "RequestRecord",
    "RowKey",
    "RunWarning",
    "Sampling",
    "Setting",
    "Severity",
    "Speculation",
    "SpeculationKind",
    "Strictness",
    "Timeline",
    "TokensSource",
    "Work",
    "model_slug",
]
