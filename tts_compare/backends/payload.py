"""The request body that vLLM and SGLang share: OpenAI's fields and every sampling parameter they add."""

from __future__ import annotations

from typing import Any

from tts_compare.domain import Call

CHAT_PATH = "/chat/completions"
COMPLETIONS_PATH = "/completions"


def prompt_part(call: Call) -> tuple[str, dict[str, Any]]:
    """Path and prompt: chat for ``messages``, completions for text or token ids.

    Raises ValueError unless exactly one of the three is set.
    """
    given = [part for part in (call.messages, call.prompt, call.prompt_token_ids) if part is not None]
    if len(given) != 1:
        raise ValueError("a Call has exactly one of messages, prompt and prompt_token_ids")
    if call.messages is not None:
        return CHAT_PATH, {"messages": [{"role": role, "content": content} for role, content in call.messages]}
    if call.prompt is not None:
        return COMPLETIONS_PATH, {"prompt": call.prompt}
    return COMPLETIONS_PATH, {"prompt": list(call.prompt_token_ids or ())}


def engine_request(call: Call, model: str) -> tuple[str, dict[str, Any]]:
    """A streamed request that states every sampling parameter and asks for usage on each chunk."""
    path, prompt = prompt_part(call)
    sampling = call.sampling
    body = {
        "model": model,
        **prompt,
        "max_tokens": call.max_tokens,
        "n": call.n,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": sampling.seed,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    return path, body
