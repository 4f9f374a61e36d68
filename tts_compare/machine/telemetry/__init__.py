"""Sampling a server's GPUs, its engine's gauges and its machine from a small process of its own."""

from tts_compare.machine.telemetry.asked import Asked
from tts_compare.machine.telemetry.handle import Sampler, start_sampler

__all__ = ["Asked", "Sampler", "start_sampler"]
