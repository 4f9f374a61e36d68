"""Engines as pure values: a setting becomes argv and environment, a call becomes a request, a log becomes a cause.

A new engine is one module here and one line in ``registry``; the contract tests run over ``BACKENDS``.
"""

from tts_compare.backends.alike import differences
from tts_compare.backends.facts import Machine, ModelFacts, Node, model_facts
from tts_compare.backends.openai import Dialect, OpenAI, dialect_for
from tts_compare.backends.protocol import Backend, MetricNames, StartupCause, Wire
from tts_compare.backends.registry import BACKENDS, HOSTED
from tts_compare.backends.spanning import KeyByFile, Part, Spanning

__all__ = [
    "BACKENDS",
    "HOSTED",
    "Backend",
    "Dialect",
    "KeyByFile",
    "Machine",
    "MetricNames",
    "ModelFacts",
    "Node",
    "OpenAI",
    "Part",
    "Spanning",
    "StartupCause",
    "Wire",
    "dialect_for",
    "differences",
    "model_facts",
]
