"""What a sampler is told by the process that starts it."""

from __future__ import annotations

from msgspec import Struct


class Asked(Struct, frozen=True, kw_only=True):
    """One server to sample, as one line of JSON on the sampler's standard input: headers may hold a key.

    path: the file that rows are appended to. setting, session, round: as rows say. interval_s: seconds between
    samples. pid: the engine's leading process, whose parent is above all of the server's; None where it is not ours,
    and then neither GPUs nor host are looked at. gpus: whether it runs on GPUs. visible: its CUDA_VISIBLE_DEVICES, None
    for ours. metrics_url: of the engine's gauges, None where it has none. names: field of ``EngineSample`` -> name in
    the engine's text. headers: of the request for them.
    """

    path: str
    setting: str
    session: int = 0
    round: int = 0
    interval_s: float = 1.0
    pid: int | None = None
    gpus: bool = False
    visible: str | None = None
    metrics_url: str | None = None
    names: dict[str, str] = {}
    headers: dict[str, str] = {}
    private: bool = False
