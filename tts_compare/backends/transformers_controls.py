"""Controls of ``transformers serve``, as of 5.24: the chat template's switch alone.

It refuses efforts and knows no budget.
"""

from __future__ import annotations

from typing import Any

from tts_compare.backends.controls import switched
from tts_compare.domain import Setting, Thinking


class TransformersControls:
    """Template variables reach the template; nothing bounds the thinking."""

    def fields(self, thinking: Thinking, setting: Setting) -> dict[str, Any]:
        """The switch."""
        return switched(on=bool(thinking.enabled))

    def refusal(self, thinking: Thinking, setting: Setting) -> str | None:
        """Budgets and efforts."""
        if thinking.budget is not None:
            return "transformers serve has no thinking budget"
        return "transformers serve takes no reasoning_effort" if thinking.effort is not None else None

    def flags(self, setting: Setting) -> list[str]:
        """None: requests need none."""
        return []

    def parser(self, model: str, architecture: str) -> str | None:
        """None: it has no parsers."""
        return None

    def slack(self, thinking: Thinking, setting: Setting) -> int:
        """0: there is no budget."""
        return 0


TRANSFORMERS_CONTROLS = TransformersControls()
