"""A reward model over HTTP: responses in, scores out; in the wire forms of vLLM and SGLang."""

from __future__ import annotations

from tts_compare.reward.ask import Scoring, ask_all
from tts_compare.reward.discover import discover
from tts_compare.reward.forms import FORMS, Form, ResponseToScore
from tts_compare.reward.http import open_client, root_of

__all__ = ["FORMS", "Form", "ResponseToScore", "Scoring", "ask_all", "discover", "open_client", "root_of"]
