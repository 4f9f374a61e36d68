"""Fields that a user adds to requests: into the body, never over what we state ourselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tts_compare.backends.protocol import Backend
from tts_compare.domain import Call, Sampling, Setting, Thinking, Work

_SAMPLING = frozenset(Sampling.__slots__)
#: Fields that would undo what we state under another name, or what is timed rests on, and what to do instead.
_RESERVED: Mapping[str, str] = {
    "max_tokens": "give --budget",
    "max_completion_tokens": "it would win over max_tokens; give --budget",
    "n": "give --samples",
    "stream": "what is timed is a stream",
    "stream_options": "tokens are counted by it",
    "return_token_ids": "tokens are counted by it",
    "include_reasoning": "with false vLLM streams neither the thinking nor its token ids",
    "separate_reasoning": "thinking and answer could not be told apart",
    "messages": "give --prompt",
    "prompt": "give --prompt",
    "model": "give --model",
}
_PROBES = (
    Call(max_tokens=1, sampling=Sampling(), messages=(("user", "x"),)),
    Call(max_tokens=1, sampling=Sampling(), prompt="x"),
)


def with_extra(body: Mapping[str, Any], *fields: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The body with further fields, each a ``(name, JSON)`` pair; what the body states stays."""
    added = {name: json.loads(text) for pairs in fields for name, text in pairs}
    return {**added, **body}


def refused_field(backend: Backend, setting: Setting, work: Work, thinking: Thinking | None = None) -> str | None:
    """Why a further field of the setting or the method cannot be sent, naming it; None where all can.

    thinking: what the method asks, which states fields too.
    """
    own, method = dict(setting.extra_body), dict(work.extra_body)
    if twice := sorted(own.keys() & method.keys()):
        return f"extra_body: {twice[0]!r} is stated for the engine and for the method {work.method}"
    stated = {name for call in _PROBES for name in backend.request(call, setting.model)[1]}
    controls = backend.controls
    can = thinking is not None and controls is not None and controls.refusal(thinking, setting) is None
    controlled = controls.fields(thinking, setting) if can and thinking and controls else {}
    for name in (*own, *method):
        if name in controlled:
            return f"extra_body: {name!r} is how {work.method} asks for {thinking.name if thinking else 'thinking'}"
        if name in _SAMPLING and name in stated:
            return f"extra_body: {name!r} is stated by every request; set {name} itself (docs/configuration.md)"
        if name in _RESERVED:
            return f"extra_body: {name!r} is stated by every request or changes what is measured: {_RESERVED[name]}"
        if name in stated:
            return f"extra_body: {name!r} is stated by every request"
    return None
