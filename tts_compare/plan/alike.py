"""What engines decide by themselves on a GPU and differently among compared settings, as warnings. Pure.

As of vLLM 0.32 and 0.33 and SGLang 0.5.23, read off how they resolve command lines; none of it was seen on a GPU.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tts_compare.backends import BACKENDS
from tts_compare.codes import warn
from tts_compare.domain import RunWarning, Setting
from tts_compare.machine.catalogue import Accelerator
from tts_compare.plan.arguments import stated
from tts_compare.plan.design import share_of

#: The release from which vLLM schedules asynchronously with n-gram speculation too.
_ASYNC_NGRAM_SINCE = (0, 33)
#: Names of GPUs of compute capability 10, for which SGLang chooses attention by speculation.
_BLACKWELL = re.compile(r"\bG?B200\b")
_SAME_SHARE = 0.005


def differences_on_gpus(
    settings: Sequence[Setting], gpus: Sequence[str], device: Accelerator | None
) -> tuple[RunWarning, ...]:
    """A warning for the scheduler, the attention kernel and the share of memory where compared settings differ in it.

    Of settings that we start on GPUs. gpus: as the driver or the catalogue calls them. device: what each is, None where
    no catalogue knows it.
    """
    ours = [s for s in settings if s.device == "cuda" and s.devices is not None and s.base_url is None]
    found = (_scheduler(ours), _attention(ours, gpus), _memory(ours, device) if device else None)
    return tuple(warning for warning in found if warning is not None)


def _scheduler(settings: Sequence[Setting]) -> RunWarning | None:
    kinds = {_is_async(s) for s in settings if s.backend == "vllm"}
    if len(kinds) < 2:
        return None
    return warn(
        "scheduler_differs",
        "vLLM before 0.33 turns asynchronous scheduling off with n-gram speculation and leaves it on without: two "
        "schedulers are compared with it",
    )


def _is_async(setting: Setting) -> bool:
    if "--no-async-scheduling" in setting.engine_args:
        return False
    version = re.match(r"(\d+)\.(\d+)", setting.version or BACKENDS["vllm"].pinned or "")
    release = (int(version[1]), int(version[2])) if version else _ASYNC_NGRAM_SINCE
    return setting.speculation.kind != "ngram" or release >= _ASYNC_NGRAM_SINCE


def _attention(settings: Sequence[Setting], gpus: Sequence[str]) -> RunWarning | None:
    """On compute capability 10 alone: on Hopper, Ampere and Ada SGLang chooses one kernel, with pages of one token."""
    if not any(_BLACKWELL.search(name) for name in gpus):
        return None
    chosen = {_kernel(s) for s in settings if s.backend == "sglang" and s.speculation.kind in ("none", "ngram")}
    if len(chosen) < 2:
        return None
    return warn(
        "attention_differs",
        f"SGLang's settings use other attention kernels and pages of the KV cache: {', '.join(sorted(chosen))}",
    )


def _kernel(setting: Setting) -> str:
    of_itself = ("trtllm_mha", "64") if setting.speculation.kind == "none" else ("flashinfer", "1")
    backend = stated(setting.engine_args, "--attention-backend")
    page = stated(setting.engine_args, "--page-size") or (of_itself[1] if backend in (None, of_itself[0]) else "?")
    return f"{backend or of_itself[0]} with pages of {page}"


def _memory(settings: Sequence[Setting], device: Accelerator) -> RunWarning | None:
    shares = {s.backend: share_of(s, device).of_memory for s in settings if s.backend in ("vllm", "sglang")}
    every = [share_of(s, device).of_memory for s in settings if s.backend in shares]
    if not every or max(every) - min(every) < _SAME_SHARE:
        return None
    told = ", ".join(f"{engine} {share:.1%}" for engine, share in sorted(shares.items()))
    return warn(
        "memory_shares_differ",
        f"engines take other shares of a GPU's memory ({told}): their KV caches hold different numbers of tokens",
    )
