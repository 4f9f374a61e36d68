"""What an adapter says of controls of thinking: which fields of a request state them, and which flags they need."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tts_compare.domain import Setting, Thinking

#: What chat templates call their switch: Qwen3 and GLM the one, DeepSeek the other; a template ignores what it lacks.
_SWITCHES = ("enable_thinking", "thinking")
_GPT_OSS = re.compile(r"gpt[-_]?oss", re.IGNORECASE)
GPT_OSS_LEVELS = ("low", "medium", "high")


class Controls(Protocol):
    """How an engine's requests control thinking. Pure."""

    def fields(self, thinking: Thinking, setting: Setting) -> dict[str, Any]:
        """Fields that a request adds. Only for what ``refusal`` lets pass."""

    def refusal(self, thinking: Thinking, setting: Setting) -> str | None:
        """Why the engine cannot be asked so, or would ignore it silently; None where it obeys or says no itself."""

    def flags(self, setting: Setting) -> list[str]:
        """What ``setting.reasoning`` adds to the command line; without it nothing."""

    def parser(self, model: str, architecture: str) -> str | None:
        """The engine's name of the parser for a model, by its name or its architecture; None where none is known."""

    def slack(self, thinking: Thinking, setting: Setting) -> int:
        """Tokens past its budget that an engine which obeys may still think."""


def switched(*, on: bool) -> dict[str, Any]:
    """The chat template's switch, under every name that templates give it."""
    return {"chat_template_kwargs": dict.fromkeys(_SWITCHES, on)}


def template_variables(thinking: Thinking) -> dict[str, Any]:
    """What the chat template is given for a control, as both engines do it: an effort of none switches thinking off."""
    if thinking.effort is not None:
        return {"reasoning_effort": thinking.effort, **dict.fromkeys(_SWITCHES, thinking.effort != "none")}
    return dict.fromkeys(_SWITCHES, thinking.enabled is not False)


def is_gpt_oss(setting: Setting) -> bool:
    """Whether the model thinks in channels and takes three levels."""
    return bool(_GPT_OSS.search(setting.model))


def has_flag(setting: Setting, *names: str) -> bool:
    """Whether the user's own arguments hold one of the flags."""
    stated = {argument.partition("=")[0].replace("_", "-") for argument in setting.engine_args}
    return not stated.isdisjoint(names)


def bounded(thinking: Thinking, setting: Setting, controls: Controls | None) -> Thinking:
    """The control with the slack of the engine that is asked."""
    if controls is None or thinking.budget is None:
        return thinking
    return replace(thinking, slack=controls.slack(thinking, setting))


@dataclass(frozen=True, slots=True)
class _Family:
    """A family of models: how it is named, its architecture, and what the engines call its parser."""

    name: str
    vllm: str
    sglang: str
    architecture: str = ""


_FAMILIES = (
    _Family(r"gpt[-_]?oss", "openai_gptoss", "gpt-oss", "GptOssForCausalLM"),
    _Family(r"deepseek-r1|r1-distill|qwq", "deepseek_r1", "deepseek-r1"),
    _Family(r"deepseek-v4", "deepseek_v4", "deepseek-v4"),
    _Family(r"deepseek-v3", "deepseek_v3", "deepseek-v3"),
    _Family(r"qwen3.*thinking", "qwen3", "qwen3-thinking"),
    _Family(r"qwen-?3", "qwen3", "qwen3", "Qwen3"),
    _Family(r"glm-?4", "glm45", "glm45", "Glm4Moe"),
    _Family(r"kimi-k2", "kimi_k2", "kimi_k2"),
    _Family(r"minimax-m2", "minimax_m2", "minimax", "MiniMaxM2"),
    _Family(r"hunyuan-a13b", "hunyuan_a13b", "hunyuan", "HunYuanMoE"),
    _Family(r"step-?3", "step3", "step3", "Step3"),
)


def family_of(model: str, architecture: str) -> _Family | None:
    """The family by the model's own name, then by its architecture."""
    name = model.rstrip("/").rsplit("/", 1)[-1].lower()
    by_name = (one for one in _FAMILIES if re.search(one.name, name))
    by_shape = (one for one in _FAMILIES if one.architecture and architecture.startswith(one.architecture))
    return next(by_name, None) or next(by_shape, None)
