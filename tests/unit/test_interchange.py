"""Other benchmarks' files -> records.

The samples in ``foreign/`` were written by vLLM's benchmark and by GuideLLM against the embedded server, and by
AIPerf's own record classes.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit import test_reports_sample as sample
from tts_compare.dataset import load_problems
from tts_compare.domain import Problem
from tts_compare.errors import UsageError
from tts_compare.judge.imported import import_file
from tts_compare.reports.vllm_json import export_vllm
from tts_compare.rundir.interchange import Given, Imported, read_foreign

FOREIGN = Path(__file__).with_name("foreign")
FILES = ("vllm_bench.json", "guidellm.json", "aiperf.jsonl", "aiperf_raw.jsonl")


def read(name: str, given_too: Given | None = None) -> Imported:
    """One of the samples."""
    return read_foreign((FOREIGN / name).read_bytes(), given_too)


def codes(imported: Imported) -> set[str]:
    """Of its doubts."""
    return {warning.code for warning in imported.doubts}


@pytest.mark.parametrize("name", FILES)
def test_every_record_has_one_setting_and_a_key_of_its_own(name: str) -> None:
    """As our own records do."""
    imported = read(name)
    assert {record.setting for record in imported.records} == {imported.setting}
    assert len({record.key for record in imported.records}) == len(imported.records)
    assert all(record.budget > 0 for record in imported.records)


@pytest.mark.parametrize("name", FILES)
def test_instants_are_in_order(name: str) -> None:
    """Sent, first token, last token, end."""
    for record in read(name).records:
        known = (record.sent_ns, record.first_token_ns, record.last_token_ns, record.end_ns)
        instants = [at for at in known if at is not None]
        assert instants == sorted(instants)


@pytest.mark.parametrize("name", FILES)
def test_what_another_tool_measured_is_warned_of_and_has_no_cost(name: str) -> None:
    """Every warning says what is wrong, and touches the setting; the manifest knows no devices."""
    imported = read(name)
    assert {"imported", "devices_unknown"} <= codes(imported)
    assert all(warning.message and warning.setting == imported.setting for warning in imported.doubts)
    assert imported.manifest.settings[imported.setting].devices is None


def test_vllm_bench_figures_are_those_of_its_own_summary() -> None:
    """The means that vLLM computed from the same requests."""
    result = json.loads((FOREIGN / "vllm_bench.json").read_bytes())
    records = read("vllm_bench.json").records
    ttfts = [(r.first_token_ns or 0) - (r.sent_ns or 0) for r in records]
    ends = [(r.last_token_ns or 0) - (r.sent_ns or 0) for r in records]
    assert sum(ttfts) / len(ttfts) / 1e6 == pytest.approx(result["mean_ttft_ms"], rel=1e-6)
    assert sum(ends) / len(ends) / 1e6 == pytest.approx(result["mean_e2el_ms"], rel=1e-6)
    assert sum(r.completion_tokens or 0 for r in records) == result["total_output_tokens"]
    assert {r.load for r in records} == {"c2"}
    assert "ttft_role_chunk" in codes(read("vllm_bench.json"))


def test_guidellm_figures_are_those_it_computed_for_each_request() -> None:
    """Latency to the request's end differs from ours, which ends at the last token; first tokens agree."""
    rows = json.loads((FOREIGN / "guidellm.json").read_bytes())["benchmarks"][0]["requests"]["successful"]
    records = {record.request_id: record for record in read("guidellm.json").records}
    assert len(rows) == 3
    for row in rows:
        record = records[row["request_id"]]
        assert record.sent_ns is not None
        assert record.first_token_ns is not None
        assert (record.first_token_ns - record.sent_ns) / 1e6 == pytest.approx(row["time_to_first_token_ms"], abs=0.01)
        assert record.completion_tokens == row["output_tokens"]
        assert record.text == row["output"]
    assert read("guidellm.json").model == "tiny"


def test_guidellm_responses_are_matched_to_problems_by_the_text_sent() -> None:
    """Whatever the order; the order is then not on trust."""
    problems = tuple(Problem(id=f"q{n}", problem=f"What is {n} + {n}?", answer=str(2 * n)) for n in (3, 1, 2))
    imported = read("guidellm.json", Given(problems=problems))
    assert {record.problem for record in imported.records} == {"q1", "q2", "q3"}
    assert not {"order_on_trust", "problems_unknown"} & codes(imported)


def test_aiperf_figures_keep_their_units_and_warm_up_is_left_out() -> None:
    """Milliseconds are milliseconds; a refused request is a failure with its status."""
    ok, _, refused = read("aiperf.jsonl").records
    assert ok.sent_ns is not None
    assert ok.last_token_ns is not None
    assert (ok.last_token_ns - ok.sent_ns) == 587_500_000
    assert (ok.completion_tokens, ok.prompt_tokens, ok.tokens_source) == (83, 14, "estimated")
    assert refused.error is not None
    assert (refused.error.kind, refused.error.status, refused.error.message) == ("http_5xx", 503, "overloaded")


def test_aiperf_raw_chunks_become_a_timeline_of_tokens() -> None:
    """A role-only chunk is no token; a chunk of three tokens counts three; an end without a reason is a failure."""
    whole, cut = read("aiperf_raw.jsonl").records
    assert whole.timeline.tokens == (1, 3, 1)
    assert whole.timeline.us == (50_000, 20_000, 10_000)
    assert (whole.completion_tokens, whole.text, whole.finish_reason) == (5, "So it is 2", "stop")
    assert whole.budget == 64
    assert cut.error is not None
    assert cut.error.kind == "truncated_stream"


def test_a_named_budget_tells_truncated_responses() -> None:
    """A response as long as the cap ended for its length; without the cap that is doubted."""
    capped = read("vllm_bench.json", Given(budget=24))
    assert {record.finish_reason for record in capped.records} == {"length"}
    assert "finish_reason_unknown" not in codes(capped)
    assert "finish_reason_unknown" in codes(read("vllm_bench.json"))


def test_what_we_export_for_vllm_reads_back_the_same() -> None:
    """Latency, first token, tokens, texts and failures of every request."""
    files = export_vllm(sample.analysis(), sample.run_view(hostile=False))
    name = next(n for n in files if "tp1-pp1-dp1_none-truncate-4096" in n and n.startswith("vllm"))
    back = read_foreign(files[name], Given(problems=sample.run_view().problems)).records
    ours = [r for r in sample.records(hostile=False) if r.setting == sample.settings()[0]]
    assert len(back) == len(ours)
    for one, two in zip(ours, back, strict=True):
        assert (one.problem, one.ok, one.prompt_tokens) == (two.problem, two.ok, two.prompt_tokens)
        if one.ok:
            assert (one.completion_tokens, one.text) == (two.completion_tokens, two.text)
            assert (two.last_token_ns or 0) - (two.sent_ns or 0) == pytest.approx(
                (one.last_token_ns or 0) - (one.sent_ns or 0), abs=1000
            )


@pytest.mark.parametrize(("name", "dataset"), [("vllm_bench.json", None), ("aiperf.jsonl", "quickstart")])
def test_what_nothing_is_known_to_grade_against_is_ungraded_and_not_wrong(
    name: str, dataset: str | None, tmp_path: Path
) -> None:
    """No problem was matched, or the file has no texts."""
    problems = load_problems(dataset) if dataset else None
    run, imported, _ = import_file(FOREIGN / name, tmp_path / "run", dataset=problems, budget=None, command=[])
    (point,) = json.loads(run.points.read_text())
    sent = sum(record.ok for record in imported.records)
    assert (point["accuracy"], point["ungraded"]) == (None, sent)


def test_a_summary_without_requests_says_what_to_export() -> None:
    """vLLM's default file."""
    result = {"model_id": "m", "request_throughput": 1.0, "completed": 3}
    with pytest.raises(UsageError, match="--save-detailed"):
        read_foreign(json.dumps(result).encode())


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(max_size=5), st.lists, max_leaves=5).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_any_other_file_is_refused_in_one_line(data: bytes) -> None:
    """Never a traceback."""
    with pytest.raises(UsageError) as caught:
        read_foreign(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES[:2])
@given(data=st.data())
def test_a_file_with_a_piece_missing_is_refused_or_read(name: str, data: st.DataObject) -> None:
    """Any key anywhere may be gone: records or one line, never another exception."""
    whole = json.loads((FOREIGN / name).read_bytes())
    here = whole
    for _ in range(data.draw(st.integers(0, 5))):
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        inner = [key for key in keys if isinstance(here[key], dict | list) and here[key]]
        if not inner:
            break
        here = here[data.draw(st.sampled_from(inner))]
    if isinstance(here, dict) and here:
        del here[data.draw(st.sampled_from(sorted(here)))]
    elif here:
        here.pop()
    with suppress(UsageError):
        assert read_foreign(json.dumps(whole).encode()).records
