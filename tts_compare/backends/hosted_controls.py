"""Controls of hosted endpoints, as their providers document them, by host. They are asked for, not enforced."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tts_compare.domain import Setting, Thinking

_HOSTS = {
    "openrouter.ai": "OpenRouter",
    "together.xyz": "Together",
    "together.ai": "Together",
    "deepseek.com": "DeepSeek",
    "mistral.ai": "Mistral",
    "googleapis.com": "Google",
    "anthropic.com": "Anthropic",
    "x.ai": "xAI",
    "openai.com": "OpenAI",
}
_LEAST_ANTHROPIC = 1024


def provider_of(setting: Setting) -> str:
    """The provider by the host of its address; empty for one that is not known."""
    host = urlsplit(setting.base_url or "").hostname or ""
    return next((name for domain, name in _HOSTS.items() if host == domain or host.endswith("." + domain)), "")


class HostedControls:
    """What each provider's own interface has; a control that it has not is refused."""

    def fields(self, thinking: Thinking, setting: Setting) -> dict[str, Any]:
        """By provider; ``reasoning_effort`` for one that is not known."""
        provider = provider_of(setting)
        if thinking.budget is not None:
            return _budget(provider, thinking.budget)
        if thinking.effort is not None:
            return _effort(provider, thinking.effort)
        return _switch(provider, on=bool(thinking.enabled))

    def refusal(self, thinking: Thinking, setting: Setting) -> str | None:
        """A control that is not documented for the provider."""
        provider = provider_of(setting)
        who = provider or "this endpoint"
        if thinking.end:
            return f"{who} cannot write an end of thinking; set method_options.force.force_in to client"
        if thinking.budget is not None and not _budget(provider, thinking.budget):
            return f"no thinking budget is documented for {who}"
        if provider == "Anthropic" and thinking.budget is not None and thinking.budget < _LEAST_ANTHROPIC:
            return f"Anthropic takes thinking budgets of {_LEAST_ANTHROPIC} tokens and more"
        if thinking.effort is not None and provider == "Anthropic":
            return "Anthropic takes a thinking budget, and ignores an effort"
        if thinking.enabled is not None and not _switch(provider, on=thinking.enabled):
            return f"no switch of thinking {'on' if thinking.enabled else 'off'} is documented for {who}; give --effort"
        return None

    def flags(self, setting: Setting) -> list[str]:
        """None: nothing is started."""
        return []

    def parser(self, model: str, architecture: str) -> str | None:
        """None: its owner tells thinking and answer apart, or does not."""
        return None

    def slack(self, thinking: Thinking, setting: Setting) -> int:
        """A twentieth of the budget, and 16 tokens at least: providers count by tokenizers of their own."""
        return max(16, (thinking.budget or 0) // 20)


def _budget(provider: str, tokens: int) -> dict[str, Any]:
    if provider == "OpenRouter":
        return {"reasoning": {"max_tokens": tokens}}
    if provider == "Anthropic":
        return {"thinking": {"type": "enabled", "budget_tokens": tokens}}
    if provider == "Google":
        return {"extra_body": {"google": {"thinking_config": {"thinking_budget": tokens}}}}
    return {}


def _effort(provider: str, level: str) -> dict[str, Any]:
    if provider == "OpenRouter":
        return {"reasoning": {"effort": level}}
    if provider == "DeepSeek":
        if level == "none":
            return {"thinking": {"type": "disabled"}}
        return {"thinking": {"type": "enabled"}, "reasoning_effort": level}
    return {"reasoning_effort": level}


def _switch(provider: str, *, on: bool) -> dict[str, Any]:
    if provider in ("OpenRouter", "Together"):
        return {"reasoning": {"enabled": on}}
    if provider == "DeepSeek":
        return {"thinking": {"type": "enabled" if on else "disabled"}}
    if on:
        return {}
    if provider == "Anthropic":
        return {"thinking": {"type": "disabled"}}
    return {"reasoning_effort": "none"} if provider in ("OpenAI", "Mistral", "Google") else {}


HOSTED_CONTROLS = HostedControls()
