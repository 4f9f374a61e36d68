"""A client that can be trusted with the clock: one request in, its rows out, stamped as the bytes arrive."""

from __future__ import annotations

from tts_compare.client.audit import Probe, audit_warnings, watch
from tts_compare.client.limits import Stamps, TimeLimits
from tts_compare.client.send import open_client, send
from tts_compare.client.transport import StampingTransport
from tts_compare.client.workers import Workers

__all__ = [
    "Probe",
    "StampingTransport",
    "Stamps",
    "TimeLimits",
    "Workers",
    "audit_warnings",
    "open_client",
    "send",
    "watch",
]
