"""A client that can be trusted with the clock: one request in, its rows out, stamped as the bytes arrive."""

from __future__ import annotations

from tts_compare.client.audit import Probe, doubts_of, watch
from tts_compare.client.limits import Limits, Stamps
from tts_compare.client.send import open_client, send
from tts_compare.client.transport import StampingTransport
from tts_compare.client.workers import Workers

__all__ = [
    "Limits",
    "Probe",
    "StampingTransport",
    "Stamps",
    "Workers",
    "doubts_of",
    "open_client",
    "send",
    "watch",
]
