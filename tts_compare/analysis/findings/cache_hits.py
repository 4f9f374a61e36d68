"""Warnings about prompt tokens served from a prefix cache: more than what a point itself sent can explain."""

from __future__ import annotations

import polars as pl

from tts_compare.codes import warn
from tts_compare.domain import RunWarning
from tts_compare.rundir.facts import SettingFacts
from tts_compare.rundir.manifest import Manifest

_SHARE = 0.5


def cache_hits(calls: pl.DataFrame, manifest: Manifest) -> list[RunWarning]:
    """At most one warning a setting.

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


def _figures(manifest: Manifest, setting: str) -> list[tuple[int, int]]:
    """Tokens found in the cache and tokens expected there, a pair a measured point; empty where one is not known."""
    rows = [row.prefix for row in manifest.server_metrics.get(setting, ()) if row.phase == "measured"]
    # Where neither the usage nor a counter tells of hits, none were claimed.
    known = [(row.observed_tokens or 0, row.expected_tokens) for row in rows if row.expected_tokens is not None]
    return known if len(known) == len(rows) else []


def _unexplained(figures: list[tuple[int, int]]) -> str | None:
    more = [(seen, expected) for seen, expected in figures if seen > expected]
    if not more:
        return None
    seen, expected = (sum(column) for column in zip(*more, strict=True))
    return f"{seen} prompt tokens came from the prefix cache, {expected} were expected"


def _large(share: float, manifest: Manifest, setting: str) -> str | None:
    facts = manifest.settings.get(setting, SettingFacts())
    if share <= (_SHARE if facts.prefix_caching else 0.0):
        return None
    return f"{100.0 * share:.0f} % of the prompt tokens came from the prefix cache"
