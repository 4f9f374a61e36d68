"""The engines by name. A new one of ours is one module and one line here; other packages use an entry point."""

from __future__ import annotations

from tts_compare.backends.llamacpp import LlamaCpp
from tts_compare.backends.openai import OpenAI
from tts_compare.backends.protocol import Backend
from tts_compare.backends.sglang import Sglang
from tts_compare.backends.transformers import Transformers
from tts_compare.backends.vllm import Vllm
from tts_compare.extensions import Extensions

_OURS: dict[str, Backend] = {
    "vllm": Vllm(),
    "sglang": Sglang(),
    "transformers": Transformers(),
    "llamacpp": LlamaCpp(),
    "openai": OpenAI(),
}

BACKENDS: Extensions[Backend] = Extensions("tts_compare.backends", _OURS)

HOSTED = "openai"
"""The backend of an endpoint of which only its address is known."""
