"""Numbers, names and foreign text as reports write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.reports import labels, numbers
from tts_compare.reports.plain import one_line, plain
from tts_compare.reports.summary import summarise
from tts_compare.reports.view import RunView


@given(st.text(st.characters(exclude_categories=())))
def test_plain_text_steers_no_terminal_and_can_be_encoded(text: str) -> None:
    """No control character but tab and newline, no reordering mark, no surrogate survives."""
    shown = plain(text)
    shown.encode("utf-8")
    codes = {ord(char) for char in shown}
    assert not codes & (set(range(0x20)) - {0x09, 0x0A})
    assert not codes & {*range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200B, 0xFEFF}


def test_plain_text_keeps_what_a_model_may_write() -> None:
    """Accents, mathematics, CJK, emoji, tabs and newlines are not touched."""
    text = "∑ é 数学 🎉\n\tx² ≤ 4"
    assert plain(text) == text
    assert plain("a\x1b[31mb\x9bc\r\nd\rd") == "a\\x1b[31mb\\x9bc\nd\\x0dd"


@given(st.text(), st.integers(2, 60))
def test_one_line_is_one_line_within_its_limit(text: str, limit: int) -> None:
    """Whatever the text."""
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


@given(st.floats(1e-12, 1e15))
def test_three_digits_are_right_to_half_a_percent(value: float) -> None:
    """The figure written is the figure."""
    written = float(numbers.three_digits(value).replace(",", ""))
    assert math.isclose(written, value, rel_tol=0.006)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (1.2345, "1.23"),
        (12.345, "12.3"),
        (9.996, "10.0"),
        (99.96, "100"),
        (1234.5, "1,234"),
        (2e7, "2.00e7"),
    ],
)
def test_three_digits_read_as_people_write(value: float, written: str) -> None:
    """No trailing noise, no lost zeros."""
    assert numbers.three_digits(value) == written


@given(st.lists(st.floats(1e-9, 1e6), min_size=1, max_size=20))
def test_a_column_has_one_unit_and_its_figures_keep_their_value(values: list[float]) -> None:
    """Seconds in the prefix of the middle figure: figure / factor is the value."""
    unit = numbers.scale("seconds", values)
    assert unit.unit in {"s", "ms", "µs", "ns"}
    seconds = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit.unit]
    assert math.isclose(unit.factor * seconds, 1.0)


def test_costs_of_ranks_on_a_cpu_are_not_called_gpu_seconds() -> None:
    """The unit says what was counted."""
    assert numbers.scale("device_seconds", [0.02], on_cpu=True).unit == "device-ms"
    assert numbers.scale("device_seconds", [20.0]).unit == "GPU-s"
    gpu = RunView(manifest={"settings": {"a": {"device": "cuda"}, "b": {"device": "cpu"}}})
    cpu = RunView(manifest={"settings": {"a": {"device": "cpu"}}})
    assert (gpu.on_cpu, cpu.on_cpu) == (False, True)


@pytest.mark.parametrize(("seconds", "said"), [(4.4, "4 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations_are_said_in_words(seconds: float, said: str) -> None:
    """As people say them."""
    assert numbers.duration(seconds) == said


def test_labels_keep_what_differs_and_say_once_what_does_not() -> None:
    """Model and parallelism shared, speculation and engine told apart."""
    found = labels.label_settings(
        ["vllm/m-7b/tp2-pp1-dp1/none", "vllm/m-7b/tp2-pp1-dp1/ngram", "sglang/m-7b/tp2-pp1-dp1/none"]
    )
    assert set(found.of.values()) == {"vllm none", "vllm ngram", "sglang none"}
    assert found.shared == "m-7b, tp2"


settings = st.builds(
    lambda e, m, t, s, h: f"{e}/{m}/tp{t}-pp1-dp1/{s}" + (f"/{h}" if h else ""),
    st.sampled_from(["vllm", "sglang", "vllm==0.32.0"]),
    st.sampled_from(["m", "m-7b"]),
    st.integers(1, 4),
    st.sampled_from(["none", "ngram", "ngram-3-1-4"]),
    st.sampled_from(["", "a1b2c3"]),
)


@given(st.lists(st.one_of(settings, st.sampled_from(["vllm-bench/x", "odd"])), min_size=1, max_size=12))
def test_labels_are_unique_whatever_the_settings(ids: list[str]) -> None:
    """Two settings never share a label."""
    found = labels.label_settings(ids)
    assert len(set(found.of.values())) == len(set(ids))


def test_sentences_name_settings_by_their_labels_the_longest_first() -> None:
    """``.../ngram`` is not cut out of ``.../ngram-3-1-4``."""
    found = labels.label_settings(["vllm/m/tp1-pp1-dp1/ngram", "vllm/m/tp1-pp1-dp1/ngram-3-1-4"])
    said = labels.shorten("vllm/m/tp1-pp1-dp1/ngram-3-1-4 beats vllm/m/tp1-pp1-dp1/ngram", found)
    assert said == "vllm ngram-3-1-4 beats vllm ngram"


def test_the_head_says_that_two_ngram_speculations_are_not_one_algorithm() -> None:
    """Only where both engines speculate with n-grams."""
    ngram = {"speculation": {"kind": "ngram"}}
    both = {"settings": {"a": {"backend": "vllm", **ngram}, "b": {"backend": "sglang", **ngram}}}
    one = {"settings": {"a": {"backend": "vllm", **ngram}, "b": {"backend": "sglang"}}}
    (note,) = (text for head, text in summarise(both) if head == "note")
    assert "not one algorithm" in note
    assert "vLLM" in note
    assert "SGLang" in note
    assert "trie" in note
    assert all(head != "note" for head, _ in summarise(one))


def test_the_head_names_models_engines_data_set_and_machine() -> None:
    """From the manifest, in one line each."""
    manifest = {
        "settings": {"a": {"model": "org/m", "backend": "vllm", "engine_version": "0.32.0", "prefix_caching": False}},
        "dataset": {"name": "math500", "problems": [{"id": "p"}] * 3},
        "machine": {"gpus": ["H100", "H100"], "cpu_model": "EPYC", "cores": 64, "memory_bytes": 2**36},
        "state": "running",
    }
    assert dict(summarise(manifest)) == {
        "model": "org/m",
        "engines": "vllm 0.32.0",
        "dataset": "math500, 3 problems",
        "prefix cache": "off",
        "machine": "2 x H100, EPYC, 64 cores, 64 GiB",
        "state": "running",
    }


def test_settings_without_figures_are_read_from_the_manifest() -> None:
    """Both those left out and those whose server failed, with the reason of each."""
    run = RunView(
        manifest={
            "left_out": [{"setting": "a", "reason": "needs a GPU"}],
            "failed": [{"setting": "b", "cause": "no memory", "log": "b.log", "advice": "use less"}],
        }
    )
    assert [(one.setting, one.reason) for one in run.left_out] == [("a", "needs a GPU")]
    assert [(one.setting, one.reason, one.log, one.advice) for one in run.failed_servers] == [
        ("b", "no memory", "b.log", "use less")
    ]
