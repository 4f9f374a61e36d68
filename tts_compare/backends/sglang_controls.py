"""SGLang's controls of thinking, as of 0.5.23: strict thinking on GPUs, else a logit processor; efforts; the switch.

The processor is SGLang's own class with the token ids of the model at hand: the shipped ones hold the ids of three
models, and with wrong ids a budget is ignored without a word.
"""

from __future__ import annotations

import json
from typing import Any

from tts_compare.backends.controls import GPT_OSS_LEVELS, family_of, has_flag, is_gpt_oss, switched
from tts_compare.domain import Marks, Setting, Thinking

LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")
#: Parsers that list tokens which may not come after the budget. With any other a strict budget is ignored.
STRICT_PARSERS = (
    *("qwen3", "qwen3-thinking", "deepseek-v3", "deepseek-v4", "deepseek-v41", "glm45", "kimi_k2", "kimi_k3", "mimo"),
    *("minimax", "interns1", "dots", "ling3", "nanbeige", "poolside_v1"),
)
_MODULE = "sglang.srt.sampling.custom_logit_processor"
_CLASS = "ThinkingBudgetLogitProcessor"


class SglangControls:
    """Budgets need flags at the server's start; without them, and on /completions, they are ignored."""

    def fields(self, thinking: Thinking, setting: Setting) -> dict[str, Any]:
        """``custom_params`` and, without strict thinking, the processor; ``reasoning_effort``; or the switch alone."""
        if thinking.budget is not None:
            fields = {"custom_params": {"thinking_budget": thinking.budget}, **switched(on=True)}
            return fields if is_strict(setting) else fields | {"custom_logit_processor": processor(thinking.marks)}
        if thinking.effort is not None:
            return {"reasoning_effort": thinking.effort}
        return switched(on=bool(thinking.enabled))

    def refusal(self, thinking: Thinking, setting: Setting) -> str | None:
        """What it would ignore: budgets with speculation or unknown marks, and levels that gpt-oss is not given."""
        if thinking.effort is not None:
            levels = GPT_OSS_LEVELS if is_gpt_oss(setting) else LEVELS
            known = thinking.effort in levels
            return None if known else f"SGLang has the efforts {', '.join(levels)} here, not {thinking.effort}"
        return None if thinking.budget is None else _unkept(thinking, setting)

    def flags(self, setting: Setting) -> list[str]:
        """The parser where one is known; what keeps budgets, where there are any.

        With the processor overlap scheduling is off: it overshoots the budget by three tokens.
        """
        reasoning = setting.reasoning
        if reasoning is None:
            return []
        flags = []
        if reasoning.parser and not has_flag(setting, "--reasoning-parser"):
            flags += ["--reasoning-parser", reasoning.parser]
        if not reasoning.end:
            return flags
        if is_strict(setting):
            return [*flags, "--enable-strict-thinking"]
        return [*flags, "--enable-custom-logit-processor", "--disable-overlap-schedule"]

    def parser(self, model: str, architecture: str) -> str | None:
        """By the model's family."""
        family = family_of(model, architecture)
        return family.sglang if family else None

    def slack(self, thinking: Thinking, setting: Setting) -> int:
        """The line end that the processor puts before the mark."""
        return 1


def _unkept(thinking: Thinking, setting: Setting) -> str | None:
    """Why it would not keep a budget."""
    marks = thinking.marks
    sizes = {len(ids) for ids in (marks.open_ids, marks.close_ids, marks.line_ids)}
    found = {
        "SGLang ends thinking by its mark and nothing else; set method_options.force.force_in to client": thinking.end,
        "SGLang ignores a thinking budget for gpt-oss, which thinks in channels": is_gpt_oss(setting),
    }
    if not is_strict(setting):
        found |= {
            "SGLang's verification of drafts never asks the processor that keeps the budget: it would be ignored": (
                setting.speculation.kind != "none"
            ),
            "SGLang keeps a budget by token ids, and the model's tokenizer is not at hand: give --model DIRECTORY": (
                not marks.close_ids
            ),
            f"SGLang keeps a budget where {marks.open}, {marks.close} and a line end are one token each: here not": (
                sizes != {1}
            ),
        }
    return next((reason for reason, holds in found.items() if holds), None)


def is_strict(setting: Setting) -> bool:
    """Whether strict thinking keeps budgets: on a CPU its first request ends the scheduler."""
    parser = setting.reasoning.parser if setting.reasoning else None
    return setting.device == "cuda" and setting.base_url is None and parser in STRICT_PARSERS


def processor(marks: Marks) -> str:
    """SGLang's processor for these token ids as requests carry it: a pickled subclass, written out by hand.

    It calls ``type(name, (the shipped class,), ids)`` where it is read; neither SGLang nor dill is needed here.
    """
    names = ("THINKING_START_TOKEN_ID", "THINKING_END_TOKEN_ID", "NEW_LINE_TOKEN_ID")
    numbers = (marks.open_ids[0], marks.close_ids[0], marks.line_ids[0])
    items = "".join(f"V{name}\nI{number}\ns" for name, number in zip(names, numbers, strict=True))
    # Protocol 0: GLOBAL type; a mark, the name, the tuple of bases, the dictionary, TUPLE; REDUCE; STOP.
    pickled = f"cbuiltins\ntype\n(V{_CLASS}\n(c{_MODULE}\n{_CLASS}\nt(d{items}tR."
    return json.dumps({"callable": pickled.encode("ascii").hex()})


SGLANG_CONTROLS = SglangControls()
