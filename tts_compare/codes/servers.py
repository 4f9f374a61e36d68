"""Codes of what is seen of servers, the machine and the client while a run is measured."""

from __future__ import annotations

from collections.abc import Mapping

from tts_compare.codes.code import Code

_ALONE = "nvidia-smi; ss -tn state established"
_WORKERS = "tts-compare run --workers 4"
_CLIENT = "spread the load over more client processes: --workers N"

SERVER_CODES: Mapping[str, Code] = {
    "server_failed": Code(
        severity="error",
        text="the setting's server did not start, or died for good",
        fix="tail -n 50 RUN/servers/SETTING.log",
        advice="see the server's log for the cause",
    ),
    "foreign_requests": Code(
        severity="error",
        text="the server ended more requests than were sent to it",
        fix=_ALONE,
        advice="somebody else used the server: measure on one that is yours alone",
    ),
    "busy_before": Code(
        severity="warning",
        text="the server was running requests that are not ours when a point began",
        fix=_ALONE,
        advice="measure on a server that is yours alone",
    ),
    "preempted": Code(
        severity="warning",
        text="the engine preempted requests: its KV cache was full",
        fix="tts-compare run --concurrency LOWER",
        advice="lower the concurrency or give the engine more KV cache",
    ),
    "numa_not_bound": Code(
        severity="warning",
        text="servers and client were not bound to NUMA nodes of their own: copies to a GPU may cross sockets",
        fix="numactl --cpunodebind=N --membind=N tts-compare run --out NEW",
        advice="bind both by hand to the node of the GPUs (nvidia-smi topo -m)",
    ),
    "kv_cache_full": Code(
        severity="warning",
        text="the engine's KV cache was full: requests waited for room in it",
        fix="tts-compare run --concurrency LOWER",
        advice="lower the concurrency or give the engine more KV cache",
    ),
    "gpu_throttled": Code(
        severity="warning",
        text="a GPU held its clocks down while it was measured: the same setting is faster on one that does not",
        fix="nvidia-smi -q -d PERFORMANCE,POWER,TEMPERATURE",
        advice="see to its cooling and its power limit, or compare settings that were measured at the same clocks",
    ),
    "gpu_shared": Code(
        severity="error",
        text="another process used a GPU of the server",
        fix="nvidia-smi",
        advice="end the other process, or leave that GPU out of those that are visible, and measure again",
    ),
    "clocks_differ": Code(
        severity="warning",
        text="the clocks of the GPUs under load differ between settings that are compared",
        fix="nvidia-smi -q -d CLOCK,PERFORMANCE",
        advice="lock the clocks (nvidia-smi --lock-gpu-clocks) where that is yours to do, and measure again",
    ),
    "energy_disagrees": Code(
        severity="warning",
        text="the energy counter and the power drawn over the same time disagree",
        fix="nvidia-smi -q -d POWER",
        advice="take energy per problem as rough",
    ),
    "telemetry_lost": Code(
        severity="warning",
        text="samples of the machine are missing: the process that takes them ended",
        fix="tts-compare report RUN",
        advice="throttling and sharing of GPUs may have gone unseen meanwhile",
    ),
    "prefix_cache_not_flushed": Code(
        severity="warning",
        text="the prefix cache could not be emptied before a point: it may hold earlier prompts",
        fix="tts-compare run --engine-args vllm=--no-enable-prefix-caching",
        advice="turn prefix caching off",
    ),
    "client_lag": Code(
        severity="warning",
        text="the client's event loop ran late: arrivals are stamped late",
        fix=_WORKERS,
        advice=_CLIENT,
    ),
    "client_saturated": Code(
        severity="warning",
        text="the client used most of a core: it may be what was timed",
        fix=_WORKERS,
        advice=_CLIENT,
    ),
    "client_send_lag": Code(
        severity="warning",
        text="requests went out after their time: the load was lower",
        fix=_WORKERS,
        advice=_CLIENT,
    ),
    "client_trails_server": Code(
        severity="warning",
        text="arrivals trail the engine's own figures: the client, or what lies between, is in them",
        fix=_WORKERS,
        advice=_CLIENT,
    ),
    "client_stood_still": Code(
        severity="error",
        text="the client did not run for seconds: what arrived meanwhile is stamped with the end of the pause",
        fix="systemd-inhibit tts-compare run --out NEW",
        advice="let the machine neither sleep nor stop the process (systemd-inhibit), and measure the point again",
    ),
}
