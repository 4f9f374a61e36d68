"""A small random model that thinks: Qwen3's architecture, think marks that are single tokens, and a template for them.

The template opens the thinking block itself, since a random model never would. It honours ``enable_thinking`` and
``reasoning_effort``, and ``minimal`` renders as ``low`` does. It thinks for ever, and where its thinking is ended it
answers ``\\boxed{4}`` and stops.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tts_compare.installer import safetensors
from tts_compare.installer.models import _random, make_tiny_model
from tts_compare.methods.model_files import tokens_of

OPEN, CLOSE = "<think>", "</think>"
OPEN_ID, CLOSE_ID = 49152, 49153
_END_ID = 2
#: What the model answers after every thinking that is ended; its own thinking never ends.
ANSWER = "4"
_VOCABULARY, _LAYERS, _HEADS, _HEAD_DIM = 49184, 2, 2, 32
TEMPLATE = """
{%- set effort = reasoning_effort if reasoning_effort is defined else 'medium' %}
{%- set effort = 'low' if effort == 'minimal' else effort %}
{%- if effort not in ('none', none) %}
{{- '<|im_start|>system\\nThink with ' + effort + ' effort.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and not enable_thinking %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- else %}
{{- '<think>' }}
{%- endif %}
{%- endif %}
"""


def make_thinking_model(python: Path, directory: Path) -> Path:
    """The model's directory, named so that the parser can be inferred. python: an interpreter with pip."""
    make_tiny_model(python, directory)
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    tokenizer["added_tokens"] += [_added(OPEN_ID, OPEN), _added(CLOSE_ID, CLOSE)]
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    stated = json.loads((directory / "tokenizer_config.json").read_text())
    stated.pop("chat_template", None)
    decoder = stated.setdefault("added_tokens_decoder", {})
    for number, mark in ((OPEN_ID, OPEN), (CLOSE_ID, CLOSE)):
        decoder[str(number)] = {k: v for k, v in _added(number, mark).items() if k != "id"}
    (directory / "tokenizer_config.json").write_text(json.dumps(stated))
    (directory / "chat_template.jinja").write_text(TEMPLATE.strip("\n"))
    config = json.loads((directory / "config.json").read_text())
    config |= {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": _VOCABULARY}
    config |= {"head_dim": _HEAD_DIM, "attention_bias": False}
    (directory / "config.json").write_text(json.dumps(config, indent=1))
    shapes = _shapes(config)
    safetensors.write(
        directory / "model.safetensors", shapes, _weights(shapes, [CLOSE_ID, *_answer(directory), _END_ID])
    )
    return directory


def _answer(directory: Path) -> tuple[int, ...]:
    """The ids of what the model answers once its thinking is over; the template's closed block ends as they begin."""
    tokens = tokens_of(directory)
    assert tokens is not None
    return tokens.encode("\n\n") + tokens.encode(f"\\boxed{{{ANSWER}}}")


def _added(number: int, content: str) -> dict[str, Any]:
    """A token of its own that is no special one, as Qwen3's marks are: engines leave it in the text."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": number, "content": content, **flags}


def _shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden, inner, width = config["hidden_size"], config["intermediate_size"], _HEADS * _HEAD_DIM
    layer = {
        "self_attn.q_proj.weight": (width, hidden),
        "self_attn.k_proj.weight": (width, hidden),
        "self_attn.v_proj.weight": (width, hidden),
        "self_attn.o_proj.weight": (hidden, width),
        "self_attn.q_norm.weight": (_HEAD_DIM,),
        "self_attn.k_norm.weight": (_HEAD_DIM,),
        "mlp.gate_proj.weight": (inner, hidden),
        "mlp.up_proj.weight": (inner, hidden),
        "mlp.down_proj.weight": (hidden, inner),
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    return {
        "model.embed_tokens.weight": (_VOCABULARY, hidden),
        **{f"model.layers.{i}.{name}": shape for i in range(_LAYERS) for name, shape in layer.items()},
        "model.norm.weight": (hidden,),
        "lm_head.weight": (_VOCABULARY, hidden),
    }


def _weights(shapes: dict[str, tuple[int, ...]], answer: list[int]) -> Iterator[tuple[str, Any]]:
    """As the tiny model's, whose greedy text falls into loops; but the tokens of ``answer`` follow each other."""
    embedding = None
    for name, weights in _random(shapes, 0):
        if name == "model.embed_tokens.weight":
            embedding = weights
        if name == "lm_head.weight":
            assert embedding is not None
            weights[[OPEN_ID, CLOSE_ID]] = 0.0  # it opens and ends no thinking of its own accord
            for token, follower in pairwise(answer):
                usual = int(np.argmax(weights @ embedding[token]))
                weights[[follower, usual]] = weights[[usual, follower]]
        yield name, weights
