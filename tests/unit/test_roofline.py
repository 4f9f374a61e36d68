"""The least time a token can take: published tables, the paper's speed-up, and what must hold for every model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.domain.model_shape import ModelShape
from tts_compare.machine.catalogue import Accelerator, catalogue
from tts_compare.machine.memory import Demand, Share, fit
from tts_compare.machine.roofline import Drafts, Layout, decode_step, prefill_s
from tts_compare.models.known import known_shapes

R1 = "deepseek-ai/DeepSeek-R1-Distill-Qwen-"
KNOWN = known_shapes()
DEVICES = catalogue()


def bound_ms(size: str, device: str, tp: int = 1) -> float:
    step = decode_step(KNOWN[R1 + size], DEVICES[device], layout=Layout(tensor_parallel=tp), context=2048)
    return step.seconds_per_token * 1e3


@pytest.mark.parametrize(
    ("size", "device", "tp", "expected"),
    [
        ("1.5B", "H100-SXM", 1, 0.94),
        ("1.5B", "GH200-96", 1, 0.79),
        ("1.5B", "H200", 1, 0.66),
        ("1.5B", "H100-SXM", 2, 0.75),
        ("1.5B", "H100-SXM", 4, 0.519),
        ("7B", "H100-SXM", 1, 4.26),
        ("7B", "GH200-96", 1, 3.56),
        ("7B", "H200", 1, 2.97),
        ("7B", "H100-SXM", 2, 2.41),
        ("7B", "H100-SXM", 4, 1.34),
        ("14B", "H100-SXM", 1, 8.47),
        ("14B", "GH200-96", 1, 7.10),
        ("14B", "H200", 1, 5.91),
        ("14B", "H100-SXM", 2, 4.72),
        ("14B", "H100-SXM", 4, 2.60),
    ],
)
def test_the_bound_at_batch_1_and_2k_context_is_that_of_the_worked_table(
    size: str, device: str, tp: int, expected: float
) -> None:
    assert bound_ms(size, device, tp) == pytest.approx(expected, rel=0.02)


def test_the_papers_speed_up_of_14b_on_4_gh200_is_explained_by_a_fixed_overhead_of_4_7_ms() -> None:
    one, four = bound_ms("14B", "GH200-96"), bound_ms("14B", "GH200-96", 4)
    assert one / four == pytest.approx(3.15, abs=0.1), "what bandwidth alone would give"
    assert (one + 4.7) / (four + 4.7) == pytest.approx(1.7, abs=0.02)


def test_kv_bytes_of_a_token_are_those_of_the_formula_and_replicate_beyond_the_kv_heads() -> None:
    small = KNOWN[R1 + "1.5B"]
    assert small.kv_bytes(1) == 2 * 28 * 2 * 128 * 2
    assert small.kv_bytes(1, tensor_parallel=2) == small.kv_bytes(1) / 2
    assert small.kv_bytes(1, tensor_parallel=4) == small.kv_bytes(1) / 2, "two KV heads: four ranks hold each twice"
    assert small.kv_bytes(1, width=1) == small.kv_bytes(1) / 2


def test_sliding_layers_keep_no_more_than_their_window() -> None:
    oss = KNOWN["openai/gpt-oss-20b"]
    per_layer = 2 * 8 * 64 * 2
    assert oss.kv_bytes(1000) == per_layer * (12 * 1000 + 12 * 128)
    assert oss.kv_bytes(100) == per_layer * 24 * 100


@pytest.mark.parametrize(("model", "active"), [("openai/gpt-oss-20b", 3608307264), ("openai/gpt-oss-120b", 5132849472)])
def test_a_mixture_of_experts_reads_its_active_weights_for_one_token_and_more_for_many(model: str, active: int) -> None:
    shape = KNOWN[model]
    assert shape.active_parameters == active
    reads = [shape.read_bytes(tokens=n) for n in (1, 4, 64, 4096)]
    assert reads == sorted(reads)
    assert reads[0] < 0.3 * reads[-1]
    assert reads[-1] == pytest.approx(shape.total_bytes() - shape.embedding_bytes, rel=1e-6)


def test_tied_embeddings_are_read_as_the_output_head_and_untied_ones_are_not_read() -> None:
    tied, untied = KNOWN["Qwen/Qwen2.5-1.5B-Instruct"], KNOWN[R1 + "1.5B"]
    assert tied.read_bytes() == tied.total_bytes()
    assert untied.read_bytes() == untied.total_bytes() - 151936 * 1536 * 2
    assert tied.read_bytes() == pytest.approx(untied.read_bytes(), rel=1e-3), "the same layers, the same head"


def test_speculation_divides_the_step_by_what_it_yields_and_pays_for_its_drafter() -> None:
    shape, device = KNOWN[R1 + "14B"], DEVICES["H100-SXM"]
    plain = decode_step(shape, device, layout=Layout(), context=2048)
    ngram = decode_step(shape, device, layout=Layout(), context=2048, drafts=Drafts(tokens=5, accepted_length=2.0))
    assert ngram.seconds_per_token == pytest.approx(plain.seconds_per_token / 2)
    drafter = KNOWN["Qwen/Qwen2.5-0.5B-Instruct"]
    model = Drafts(tokens=5, accepted_length=2.0, shape=drafter)
    drafted = decode_step(shape, device, layout=Layout(), context=2048, drafts=model)
    one = decode_step(drafter, device, layout=Layout(), context=2048).seconds
    assert drafted.seconds == pytest.approx(ngram.seconds + 5 * one)


def test_large_batches_are_bound_by_kv_cache_or_arithmetic_and_small_ones_by_weights() -> None:
    shape, device = KNOWN[R1 + "7B"], DEVICES["H100-SXM"]
    layout = Layout()
    assert decode_step(shape, device, layout=layout, context=2048).binding == "weights"
    assert decode_step(shape, device, layout=layout, context=8192, batch=256).binding == "KV cache"
    assert decode_step(shape, device, layout=layout, context=16, batch=2048).binding == "arithmetic"
    slow = Layout(tensor_parallel=4, all_reduce_s=1e-3)
    assert decode_step(shape, device, layout=slow, context=16).binding == "communication"


def test_prefill_is_bound_by_arithmetic_when_the_prompt_is_long() -> None:
    shape, device = KNOWN[R1 + "7B"], DEVICES["H100-SXM"]
    weights = 7615616512 - 152064 * 3584
    long = prefill_s(shape, device, layout=Layout(), tokens=8192)
    assert long == pytest.approx(2 * weights * 8192 / 989e12)
    assert prefill_s(shape, device, layout=Layout(tensor_parallel=4), tokens=8192) == pytest.approx(long / 4)
    assert prefill_s(shape, device, layout=Layout(), tokens=1) == pytest.approx(2 * weights / 3.35e12)


def test_the_arithmetic_of_quantised_weights_is_bound_by_the_peak_of_8_bits_and_that_of_auto_by_16() -> None:
    device = DEVICES["H100-SXM"]
    oss = KNOWN["openai/gpt-oss-20b"]
    assert prefill_s(oss, device, layout=Layout(), tokens=10**5) == pytest.approx(2 * 3608307264 * 1e5 / 1979e12)
    stored = replace(KNOWN[R1 + "7B"], dtype="float32")
    wide, told = Layout(), Layout(dtype="float32")
    assert prefill_s(stored, device, layout=wide, tokens=10**5) == pytest.approx(2 * 7070619136 * 1e5 / 989e12)
    assert prefill_s(stored, device, layout=told, tokens=10**5) == pytest.approx(4 * 7070619136 / 3.35e12)


def test_pipeline_stages_do_not_shorten_a_token_but_share_the_memory() -> None:
    shape, device = KNOWN[R1 + "14B"], DEVICES["L4"]
    one = decode_step(shape, device, layout=Layout(), context=100)
    two = decode_step(shape, device, layout=Layout(pipeline_parallel=2), context=100)
    assert two.seconds >= one.seconds
    share, demand = Share(of_memory=0.92), Demand(max_model_len=4096, sequences=1)
    assert not fit(shape, device, layout=Layout(), share=share, demand=demand).fits
    assert fit(shape, device, layout=Layout(pipeline_parallel=2), share=share, demand=demand).fits


@given(
    model=st.sampled_from(sorted(KNOWN)),
    device=st.sampled_from(sorted(DEVICES)),
    tp=st.sampled_from([1, 2, 4, 8]),
    pp=st.sampled_from([1, 2, 4]),
    batch=st.integers(1, 512),
    context=st.integers(0, 40_000),
)
def test_more_work_never_takes_less_time(model: str, device: str, tp: int, pp: int, batch: int, context: int) -> None:
    shape, accelerator = KNOWN[model], DEVICES[device]
    layout = Layout(tensor_parallel=tp, pipeline_parallel=pp)
    step = decode_step(shape, accelerator, layout=layout, context=context, batch=batch)
    assert step.seconds > 0
    assert decode_step(shape, accelerator, layout=layout, context=context + 100, batch=batch).seconds >= step.seconds
    assert decode_step(shape, accelerator, layout=layout, context=context, batch=batch + 8).seconds >= step.seconds
    faster = replace(accelerator, bandwidth_bytes_s=2 * accelerator.bandwidth_bytes_s)
    assert decode_step(shape, faster, layout=layout, context=context, batch=batch).seconds <= step.seconds


@pytest.mark.parametrize(("batch", "context"), [(0, 10), (1, -1)])
def test_a_step_without_a_sequence_is_refused(batch: int, context: int) -> None:
    with pytest.raises(ValueError, match="at least one sequence"):
        decode_step(KNOWN[R1 + "7B"], DEVICES["L4"], layout=Layout(), context=context, batch=batch)


# What fits.

VLLM = Share(of_memory=0.92)


def fitted(model: str, device: str, *, tp: int = 1, length: int = 17_408, sequences: int = 16) -> tuple[bool, str]:
    layout, demand = Layout(tensor_parallel=tp), Demand(max_model_len=length, sequences=sequences)
    found = fit(KNOWN[model], DEVICES[device], layout=layout, share=VLLM, demand=demand)
    return found.fits, found.reason or found.warning or ""


def test_the_kv_capacity_is_what_the_share_leaves_over_the_bytes_of_a_token() -> None:
    demand = Demand(max_model_len=4096, sequences=1)
    found = fit(KNOWN[R1 + "7B"], DEVICES["H100-SXM"], layout=Layout(), share=VLLM, demand=demand)
    assert found.kv_tokens == int((0.92 * 80e9 - 2 * 7615616512 - 2e9) / 57344)


def test_weights_that_pass_may_leave_too_little_for_one_sequence() -> None:
    fits, said = fitted(R1 + "7B", "L4", length=131_072)
    assert not fits
    assert "fewer than one sequence of 131,072" in said


def test_weights_beyond_the_engines_share_do_not_fit_though_they_are_below_the_memory() -> None:
    tight = replace(DEVICES["L4"], memory_bytes=16e9)
    demand = Demand(max_model_len=16, sequences=1)
    found = fit(KNOWN[R1 + "7B"], tight, layout=Layout(), share=VLLM, demand=demand)
    assert tight.memory_bytes > 2 * 7615616512
    assert not found.fits
    assert found.reason == ("weights take 15.2 GB and working memory 2.0 GB of a device; 92.0% of 16 GB is 14.7 GB")
    assert found.kv_tokens == 0


def test_a_batch_that_cannot_all_reach_full_length_is_a_warning_and_no_refusal() -> None:
    fits, said = fitted(R1 + "14B", "H100-SXM")
    assert fits
    assert "of 16 sequences of 17,408" in said
    assert fitted(R1 + "14B", "H100-SXM", sequences=1) == (True, "")


def test_a_draft_model_takes_memory_for_its_weights_and_its_cache() -> None:
    target, draft = KNOWN[R1 + "7B"], KNOWN["Qwen/Qwen2.5-1.5B-Instruct"]
    device, demand = DEVICES["H100-SXM"], Demand(max_model_len=4096, sequences=1)
    alone = fit(target, device, layout=Layout(), share=VLLM, demand=demand)
    both = fit(target, device, layout=Layout(), share=VLLM, demand=demand, draft=draft)
    assert both.kv_tokens == int((0.92 * 80e9 - 2 * 7615616512 - 2 * 1543714304 - 2e9) / (57344 + 28672))
    assert both.kv_tokens < alone.kv_tokens


@given(
    model=st.sampled_from(sorted(KNOWN)),
    memory=st.floats(1e9, 300e9),
    tp=st.sampled_from([1, 2, 4]),
    length=st.integers(1, 131_072),
)
def test_more_memory_never_holds_less_and_every_refusal_has_a_reason(
    model: str, memory: float, tp: int, length: int
) -> None:
    def at(memory_bytes: float, share: float = 0.9) -> tuple[bool, str | None, int]:
        device = Accelerator(name="x", memory_bytes=memory_bytes, bandwidth_bytes_s=1e12)
        demand = Demand(max_model_len=length, sequences=4)
        layout = Layout(tensor_parallel=tp)
        found = fit(KNOWN[model], device, layout=layout, share=Share(of_memory=share), demand=demand)
        return found.fits, found.reason, found.kv_tokens

    fits, reason, tokens = at(memory)
    assert fits == (reason is None)
    assert tokens >= length if fits else tokens < length
    assert at(memory * 1.5)[2] >= tokens >= at(memory, 0.8)[2]


def test_a_model_without_a_kv_cache_fits_where_its_weights_do() -> None:
    shape = ModelShape(
        parameters=10**9,
        embedding_parameters=0,
        layers=4,
        hidden_size=8,
        heads=2,
        kv_heads=2,
        head_dim=4,
        stateless_layers=4,
    )
    demand = Demand(max_model_len=10**6, sequences=100)
    assert fit(shape, DEVICES["L4"], layout=Layout(), share=VLLM, demand=demand).fits
