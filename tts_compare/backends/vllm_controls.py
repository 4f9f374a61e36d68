"""vLLM's controls of thinking, as of 0.32.0: a budget field, effort levels, and the template's switch."""

from __future__ import annotations

import json
from typing import Any

from tts_compare.backends.controls import GPT_OSS_LEVELS, family_of, has_flag, is_gpt_oss, switched
from tts_compare.domain import Setting, Thinking

LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class VllmControls:
    """Budgets need ``--reasoning-parser`` or ``--reasoning-config``; a server without either answers 400."""

    def fields(self, thinking: Thinking, setting: Setting) -> dict[str, Any]:
        """``thinking_token_budget`` with the template's switch on, ``reasoning_effort``, or the switch alone."""
        if thinking.budget is not None:
            return {"thinking_token_budget": thinking.budget, **switched(on=True)}
        if thinking.effort is not None:
            return {"reasoning_effort": thinking.effort}
        return switched(on=bool(thinking.enabled))

    def refusal(self, thinking: Thinking, setting: Setting) -> str | None:
        """gpt-oss's channels have no mark that logits could be forced to; its levels are three, the others' seven."""
        if thinking.budget is not None and is_gpt_oss(setting):
            return "vLLM has no thinking budget for gpt-oss, which thinks in channels: its parser has no start and end"
        if thinking.end and setting.base_url is None and not (setting.reasoning and setting.reasoning.parser):
            return (
                "vLLM writes an end of thinking at the budget only where a parser tells it what else ends it, and none "
                "is known for this model; give --engine-args vllm='--reasoning-parser NAME'"
            )
        levels = GPT_OSS_LEVELS if is_gpt_oss(setting) else LEVELS
        if thinking.effort is not None and thinking.effort not in levels:
            return f"vLLM takes the efforts {', '.join(levels)} of this model, not {thinking.effort}"
        return None

    def flags(self, setting: Setting) -> list[str]:
        """The parser where one is known; the marks where thinking is bounded."""
        reasoning = setting.reasoning
        if reasoning is None:
            return []
        flags = []
        if reasoning.parser and not has_flag(setting, "--reasoning-parser"):
            flags += ["--reasoning-parser", reasoning.parser]
        if reasoning.end and not has_flag(setting, "--reasoning-config"):
            config = {"reasoning_start_str": reasoning.open, "reasoning_end_str": reasoning.end}
            flags += ["--reasoning-config", json.dumps(config)]
        return flags

    def parser(self, model: str, architecture: str) -> str | None:
        """By the model's family."""
        family = family_of(model, architecture)
        return family.vllm if family else None

    def slack(self, thinking: Thinking, setting: Setting) -> int:
        """None but what the end holds before its mark: the forced mark stands at the index of the budget."""
        before = thinking.end.partition(thinking.marks.close)[0]
        return len(before.encode())


VLLM_CONTROLS = VllmControls()
