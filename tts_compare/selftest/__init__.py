"""The client against a server whose truth is known: ``run_cases`` is what ``tts-compare selftest`` shows."""

from __future__ import annotations

from tts_compare.selftest.embedded import embedded_server
from tts_compare.selftest.run import CaseResult, run_cases

__all__ = ["CaseResult", "embedded_server", "run_cases"]
