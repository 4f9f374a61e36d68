"""How test-time compute is spent, one module a method: problem -> calls -> one outcome.

A new method is one module here and one line in ``METHODS``, or an entry point of another package; the contract tests
run over the mapping.
"""

from __future__ import annotations

from tts_compare.domain import base_method
from tts_compare.extensions import Extensions
from tts_compare.methods import best_of_n, effort, force, no_thinking, thinking, thinking_budget, truncate, vote
from tts_compare.methods.method import Method, Options, OptionValue, Plan, Render, Tokens
from tts_compare.methods.prompts import PROMPTS, PromptTemplate, load_prompt

_OURS = (truncate, thinking_budget, effort, force, vote, best_of_n, thinking, no_thinking)

METHODS: Extensions[Method] = Extensions(
    "tts_compare.methods",
    {module.METHOD.name: module.METHOD for module in _OURS},
)


def method_named(name: str) -> Method:
    """The method of a work, a row or a point, whose name may hold an effort level. Raises KeyError for an unknown."""
    return METHODS[base_method(name)]


__all__ = [
    "METHODS",
    "PROMPTS",
    "Method",
    "OptionValue",
    "Options",
    "Plan",
    "PromptTemplate",
    "Render",
    "Tokens",
    "load_prompt",
    "method_named",
]
