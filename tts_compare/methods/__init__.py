"""How test-time compute is spent, one module a method: problem -> calls -> one outcome.

A new method is one module here and one line in ``METHODS``, or an entry point of another package; the contract tests
run over the mapping.
"""

from __future__ import annotations

from tts_compare.extensions import Extensions
from tts_compare.methods import best_of_n, force, no_thinking, truncate, vote
from tts_compare.methods.method import Method, Options, OptionValue, Plan, Render, Tokens
from tts_compare.methods.prompts import PROMPTS, PromptTemplate, load_prompt

METHODS: Extensions[Method] = Extensions(
    "tts_compare.methods",
    {module.METHOD.name: module.METHOD for module in (truncate, force, vote, best_of_n, no_thinking)},
)

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
]
