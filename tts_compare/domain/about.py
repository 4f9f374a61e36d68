"""What a field is, beside its type: the JSON Schemas and docs/run-directory.md show it."""

from __future__ import annotations

from msgspec import Meta


def about(description: str) -> Meta:
    """The one sentence on a field."""
    return Meta(description=description)
