"""Doubts about prompt tokens served from a prefix cache: more than what a point itself sent can explain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tts_compare.codes import warn
from tts_compare.domain import Doubt

_SHARE = 0.5


def cache_hits(calls: pl.DataFrame, manifest: Mapping[str, Any]) -> list[Doubt]:
    """At most one doubt a setting.

    Where it was known what its points' own prompts explain, more than that is one; else any prompt token from the cache
    where it is off, and over half of them where it is on.
    """
    share_of_prompts = pl.col("cached_tokens").sum() / pl.col("prompt_tokens").sum()
    # An endpoint that counts no prompt tokens makes 0 / 0 of it: nothing is known to have been cached.
    shares = calls.group_by("setting").agg(share=share_of_prompts.fill_nan(0.0))
    found = []
    for setting, share in shares.sort("setting").rows():
        figures = _figures(manifest, setting)
        told = _unexplained(figures) if figures else _large(share or 0.0, manifest, setting)
        if told:
            found.append(
                warn(
                    "prefix_cache_hits",
                    f"{told}: times to the first token are too good",
                    setting=setting,
                )
            )
    return found


def _figures(manifest: Mapping[str, Any], setting: str) -> list[tuple[int, int]]:
    """Tokens found in the cache and tokens expected there, a pair a measured point; empty where one is not known."""
    rows = [
        row.get("prefix") or {}
        for row in (manifest.get("server_metrics") or {}).get(setting) or ()
        if row.get("phase") in (None, "measured")
    ]
    if any(row.get("expected_tokens") is None for row in rows):
        return []
    # Where neither the usage nor a counter tells of hits, none were claimed.
    return [(row.get("observed_tokens") or 0, row["expected_tokens"]) for row in rows]


def _unexplained(figures: list[tuple[int, int]]) -> str | None:
    more = [(seen, expected) for seen, expected in figures if seen > expected]
    if not more:
        return None
    seen, expected = (sum(column) for column in zip(*more, strict=True))
    return f"{seen} prompt tokens came from the prefix cache, {expected} were expected"


def _large(share: float, manifest: Mapping[str, Any], setting: str) -> str | None:
    caching = ((manifest.get("settings") or {}).get(setting) or {}).get("prefix_caching")
    if share <= (_SHARE if caching else 0.0):
        return None
    return f"{100.0 * share:.0f} % of the prompt tokens came from the prefix cache"
