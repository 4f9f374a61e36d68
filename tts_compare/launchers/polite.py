"""This machine, under a name of its own."""

from __future__ import annotations

from dataclasses import dataclass

from tts_compare.launchers.local import LocalLauncher


@dataclass(frozen=True, slots=True)
class PoliteLauncher(LocalLauncher):
    """Starts servers as ``local`` does."""

    name: str = "polite"
