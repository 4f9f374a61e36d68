"""Engines as pure values: a setting becomes argv and environment, a call becomes a request, a log becomes a cause.

A new engine is one module here and one line in ``BACKENDS``; the contract tests run over the dict.
"""

from tts_compare.backends.alike import differences
from tts_compare.backends.facts import Machine, ModelFacts, model_facts
from tts_compare.backends.openai import Dialect, OpenAI, dialect_for
from tts_compare.backends.protocol import LOOPBACK, Backend, MetricNames, StartupCause
from tts_compare.backends.sglang import Sglang
from tts_compare.backends.vllm import Vllm

BACKENDS: dict[str, Backend] = {"vllm": Vllm(), "sglang": Sglang(), "openai": OpenAI()}

HOSTED = "openai"
"""The backend of an endpoint of which only its address is known."""

__all__ = [
    "BACKENDS",
    "HOSTED",
    "LOOPBACK",
    "Backend",
    "Dialect",
    "Machine",
    "MetricNames",
    "ModelFacts",
    "OpenAI",
    "StartupCause",
    "dialect_for",
    "differences",
    "model_facts",
]
