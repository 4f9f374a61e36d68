"""What engines choose by themselves on a GPU is a warning where compared settings differ in it, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tts_compare.domain import Setting, Speculation
from tts_compare.machine.catalogue import Accelerator, catalogue
from tts_compare.plan.alike import differences_on_gpus

NGRAM = Speculation(kind="ngram")
VLLM = Setting(backend="vllm", model="m", device="cuda")
SGLANG = replace(VLLM, backend="sglang")
H100, B200 = catalogue()["H100-SXM"], catalogue()["B200"]


def codes(
    *settings: Setting, gpus: Sequence[str] = ("NVIDIA H100 80GB HBM3",), device: Accelerator | None = None
) -> list[str]:
    return [warning.code for warning in differences_on_gpus(settings, gpus, device)]


def with_ngram(setting: Setting) -> Setting:
    return replace(setting, speculation=NGRAM)


def test_ngram_of_the_pinned_vllm_runs_under_another_scheduler() -> None:
    assert codes(VLLM, with_ngram(VLLM)) == ["scheduler_differs"]
    assert codes(VLLM, replace(VLLM, tensor_parallel=2)) == []
    assert codes(with_ngram(VLLM), replace(with_ngram(VLLM), tensor_parallel=2)) == []
    mtp = replace(VLLM, speculation=Speculation(kind="mtp", num_tokens=1))
    assert codes(VLLM, mtp) == [], "it stays on with drafts of a model"


def test_the_scheduler_is_one_where_it_is_switched_off_or_vllm_is_newer() -> None:
    off = replace(VLLM, engine_args=("--no-async-scheduling",))
    assert codes(off, with_ngram(off)) == []
    new = replace(VLLM, version="0.33.0")
    assert codes(new, with_ngram(new)) == []
    assert codes(with_ngram(VLLM), with_ngram(new)) == ["scheduler_differs"], "a gate between the two versions"


def test_sglang_changes_its_attention_kernel_with_ngram_on_blackwell_alone() -> None:
    pair = (SGLANG, with_ngram(SGLANG))
    assert codes(*pair) == []
    assert codes(*pair, gpus=["NVIDIA L4"]) == []
    assert codes(*pair, gpus=["NVIDIA B200"]) == ["attention_differs"]
    pinned = replace(SGLANG, engine_args=("--attention-backend", "flashinfer", "--page-size", "1"))
    assert codes(pinned, with_ngram(pinned), gpus=["NVIDIA B200"]) == []


def test_shares_of_memory_are_told_where_they_differ_and_the_gpu_is_known() -> None:
    assert codes(VLLM, SGLANG, device=H100) == ["memory_shares_differ"]
    assert codes(VLLM, SGLANG, device=None) == []
    alike = (
        replace(VLLM, engine_args=("--gpu-memory-utilization", "0.85")),
        replace(SGLANG, engine_args=("--mem-fraction-static=0.85",)),
    )
    assert codes(*alike, device=B200) == []


@pytest.mark.parametrize("changes", [{"device": "cpu"}, {"base_url": "http://h/v1"}, {"hosted": True}])
def test_what_does_not_start_on_gpus_here_is_not_judged(changes: dict[str, object]) -> None:
    pair = [replace(one, **changes) for one in (VLLM, with_ngram(VLLM), SGLANG, with_ngram(SGLANG))]  # type: ignore[arg-type]
    assert codes(*pair, gpus=["NVIDIA B200"], device=B200) == []
