"""The frozen values that every package speaks in; it imports nothing of ours.

Units are in names (``_ns``, ``_us``, ``_s``, ``_usd``, ``_tokens``). Instants are integers of
``time.monotonic_ns()``; durations are derived from them, never stored. ``None`` means unknown.
"""

from tts_compare.domain.rows import Grade, RequestError, RequestRecord, RowKey, Timeline
from tts_compare.domain.setting import Price, Setting, Speculation, model_slug
from tts_compare.domain.thinking import (
    EFFORTS,
    Marks,
    Reasoning,
    Thinking,
    ThinkingSource,
    base_method,
    effort_level,
    effort_method,
    effort_rank,
)
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
    "EFFORTS",
    "AnswerKind",
    "Call",
    "Device",
    "Endpoint",
    "ErrorKind",
    "Grade",
    "GradeStatus",
    "Marks",
    "Phase",
    "Policy",
    "Price",
    "Problem",
    "Reasoning",
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
    "Thinking",
    "ThinkingSource",
    "Timeline",
    "TokensSource",
    "Work",
    "base_method",
    "effort_level",
    "effort_method",
    "effort_rank",
    "model_slug",
]
