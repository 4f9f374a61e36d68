"""Published facts of models whose files are not at hand: shapes and lengths of answers, each with its source."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from tts_compare.backends import ModelFacts
from tts_compare.domain import model_slug
from tts_compare.domain.model_shape import ModelShape

_SOURCES = {
    "config": "a published config.json, offline table",
    "base": "the base model's published config.json, offline table",
    "general": "general knowledge, offline table; not checked against the model's files",
}
_BITS_PER_BYTE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLength:
    """Mean tokens of an answer as somebody published it."""

    tokens: int
    """Generated tokens, thoughts included."""
    cap: int | None
    """The most an answer could have there; None where that is not stated."""
    source: str
    """Where it was published."""


@cache
def known_shapes() -> dict[str, ModelShape]:
    """Shapes by the model's name on the hub."""
    return {
        family["prefix"] + name: _shape({**family, **entry})
        for family in _document()["family"].values()
        for name, entry in family["models"].items()
    }


def hub_name(model: str) -> str | None:
    """The name in the table of a model that is named so, or lies in a directory of that name; None of another."""
    shapes = known_shapes()
    if model in shapes:
        return model
    return next((name for name in shapes if model_slug(name) == model_slug(model)), None)


def known_facts(model: str) -> ModelFacts | None:
    """The shape as the checks of settings read it; None for a model that is not in the table."""
    shape = known_shapes().get(model)
    return None if shape is None else facts_from(shape)


def facts_from(shape: ModelShape) -> ModelFacts:
    """A shape as the checks of settings read it."""
    return ModelFacts(
        hidden_size=shape.hidden_size,
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position=shape.max_positions,
        # The checks count two bytes for each; of quantised weights that would be too many.
        parameters=shape.parameters if shape.weight_bytes is None else None,
        dtype=shape.dtype,
        vocab=shape.vocab,
    )


def published_length(model: str, dataset: str) -> PublishedLength | None:
    """How long the model's answers to this data set are, if somebody published it.

    model: its name on the hub, or a directory that is called so.
    """
    name = hub_name(model)
    for row in _document()["length"]:
        if row["data"] == dataset and name in row["tokens"]:
            return PublishedLength(tokens=row["tokens"][name], cap=row.get("cap"), source=row["source"])
    return None


@cache
def _document() -> dict[str, Any]:
    text = files("tts_compare.models").joinpath("known.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _shape(entry: dict[str, Any]) -> ModelShape:
    parameters, hidden, layers, heads, kv_heads, head_dim, vocab, positions = entry["shape"]
    embedding = 0 if entry["tied"] else vocab * hidden
    experts = entry.get("expert_parameters", 0)
    expert_bytes = int(experts * entry["expert_bits"] / _BITS_PER_BYTE) if "expert_bits" in entry else 0
    return ModelShape(
        parameters=parameters,
        embedding_parameters=embedding,
        layers=layers,
        hidden_size=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocab=vocab,
        max_positions=positions,
        tied=entry["tied"],
        expert_parameters=experts,
        experts=entry.get("experts", 0),
        experts_per_token=entry.get("experts_per_token", 0),
        weight_bytes=(parameters - experts) * 2 + expert_bytes if expert_bytes else None,
        embedding_bytes=embedding * 2 if expert_bytes else 0,
        expert_bytes=expert_bytes,
        sliding_layers=layers // entry["sliding_every"] if "sliding_every" in entry else 0,
        sliding_window=entry.get("sliding_window", 0),
        source=_SOURCES[entry["source"]],
        reasons=entry.get("reasons"),
    )
