"""The reports other programs and papers read: JSON, CSV, Parquet, Markdown, LaTeX, figures, vLLM's result JSON."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.unit import test_reports_sample as sample
from tts_compare.domain import RequestRecord, Timeline
from tts_compare.reports import REPORTS, Look, RunView
from tts_compare.reports.figures import FileFormat, draw_figures
from tts_compare.reports.vllm_json import exchange, export_vllm

LOOK = Look()


def text(name: str, *, hostile: bool = False) -> str:
    """A report of the sample."""
    made = REPORTS[name].render(sample.analysis(hostile=hostile), sample.run_view(), look=LOOK)
    assert isinstance(made, str)
    return made


def test_json_holds_every_point_and_no_nan() -> None:
    """Strict JSON: a reader that refuses NaN reads it; unknown is null."""
    analysis = sample.analysis()
    holed = replace(analysis, points=analysis.points.with_columns(tpot_mean_s=pl.lit(math.nan)))
    made = REPORTS["json"].render(holed, sample.run_view(), look=LOOK)
    assert isinstance(made, str)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    whole = json.loads(made, parse_constant=refuse)
    assert len(whole["points"]) == analysis.points.height
    assert whole["points"][0]["tpot_mean_s"] is None
    assert whole["points"][0]["accuracy"] == pytest.approx(analysis.points["accuracy"][0])
    assert whole["claims"][0]["figure"] == 1.3
    assert whole["slo"][0]["objectives"][0]["column"] == "latency_p90_s"


def test_parquet_is_the_points_frame() -> None:
    """Types and values."""
    made = REPORTS["parquet"].render(sample.analysis(), sample.run_view(), look=LOOK)
    assert isinstance(made, bytes)
    assert_frame_equal(pl.read_parquet(io.BytesIO(made)), sample.analysis().points)


def test_csv_reads_back_as_the_points() -> None:
    """Figures survive; doubts are joined."""
    back = pl.read_csv(io.StringIO(text("csv")))
    points = sample.analysis().points
    assert back.columns == points.columns
    assert back["latency_mean_s"].to_list() == pytest.approx(points["latency_mean_s"].to_list())
    assert back["doubts"].to_list() == ["one_server_start"] * points.height


def test_markdown_tables_have_as_many_cells_in_every_row() -> None:
    """A pipe inside a cell would break the table: hostile text has one."""
    made = text("markdown", hostile=True)
    blocks = re.findall(r"(?:^\|.*\n)+", made, flags=re.MULTILINE)
    assert len(blocks) >= 6
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_markdown_has_no_markup_from_outside() -> None:
    """No tag, no image, no link, whatever a server says."""
    made = text("markdown", hostile=True)
    assert not re.search(r"(?<!\\)<", made)
    assert "\\<script\\>" in made


def test_latex_is_balanced_ascii_and_escapes_everything() -> None:
    """Braces and environments balance; no special character stands bare in a cell."""
    made = text("latex", hostile=True)
    assert made.isascii()
    bare = re.sub(r"\\[{}]", "", made)
    assert bare.count("{") == bare.count("}")
    assert re.findall(r"\\begin{(\w+\*?)}", made).sort() == re.findall(r"\\end{(\w+\*?)}", made).sort()
    cells = [line for line in made.splitlines() if line.endswith(r"\\")]
    assert len({line.count(" & ") for line in cells if "&" in line}) <= 2
    assert not re.search(r"(?<!\\)[#_]", "\n".join(cells))


def test_a_latex_table_is_no_longer_than_its_page() -> None:
    """Of a float too large for its page LaTeX shows what fits: 100 points are several tables, and all there."""
    rows = [sample.point(f"vllm/m-{i}b/tp1-pp1-dp1/none", 1024) | {"on_latency_frontier": i == 99} for i in range(100)]
    analysis = sample.analysis()
    points = pl.DataFrame(rows, schema=analysis.points.schema)
    made = REPORTS["latex"].render(replace(analysis, points=points), RunView(), look=LOOK)
    assert isinstance(made, str)
    tables = [table for table in made.split(r"\begin{tabular}")[1:] if "vllm m-" in table]
    assert max(table.count(r"\\") for table in tables) <= 40
    for i in range(100):
        assert len(re.findall(rf"vllm m-{i}b\b", "".join(tables))) == 2
    assert made.count(r"\textbf{vllm m-99b}") == 2


MAGIC = {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_figures_are_files_of_their_format(file_format: FileFormat) -> None:
    """One an axis that has figures; Figures 1 and 2 by name."""
    files = draw_figures(sample.analysis(), sample.run_view(), file_format=file_format)
    assert {f"figure1-accuracy-latency.{file_format}", f"figure2-accuracy-cost-per-token.{file_format}"} <= set(files)
    assert len(files) == 6
    for contents in files.values():
        assert contents.startswith(MAGIC[file_format])


def test_a_figure_draws_every_point_and_names_every_setting() -> None:
    """Counted in the SVG: one mark a point, one legend entry a setting, the formula below the title."""
    svg = draw_figures(sample.analysis(), sample.run_view(), file_format="svg")["figure1-accuracy-latency.svg"].decode()
    settings = ["vllm tp1 none", "vllm tp2 ngram", "sglang tp1 ngram"]
    assert all(name in svg for name in settings)
    assert "how latency_mean_s is computed" in svg
    described = re.findall(r'aria-label="Mean latency \(s\): [\d.]+; Accuracy \(%\): [\d.]+; series: ', svg)
    assert len(described) >= sample.analysis().points.height


def test_a_figure_is_as_wide_as_its_plot_and_legend_and_cuts_no_name() -> None:
    """A long formula is wrapped; settings whose names begin alike can be told apart."""
    model = "a-model-whose-name-is-longer-than-any-legend-of-a-figure-would-be"
    rows = [sample.point(f"vllm/{model}/tp{ranks}-pp1-dp1/none", 1024) | {"on_latency_frontier": 0} for ranks in (1, 2)]
    rows += [sample.point("vllm/tiny/tp1-pp1-dp1/none", 1024) | {"on_latency_frontier": 0}]
    analysis = sample.analysis()
    long = replace(analysis, points=pl.DataFrame(rows, schema=analysis.points.schema, strict=False))
    drawn = draw_figures(long, sample.run_view(), file_format="svg")["figure1-accuracy-latency.svg"].decode()
    assert f"vllm {model} tp1<" in drawn
    assert f"vllm {model} tp2<" in drawn
    told = replace(analysis, formulas={"latency_mean_s": "a word and more " * 12})
    drawn = draw_figures(told, sample.run_view(), file_format="svg")["figure1-accuracy-latency.svg"].decode()
    assert float(drawn.split('width="')[1].split('"')[0]) < 700


def test_models_have_panels_of_their_own() -> None:
    """As in the paper: a column a model."""
    analysis = sample.analysis()
    big = analysis.points.with_columns(pl.col("setting").str.replace("1.5b", "7b"))
    both = replace(analysis, points=pl.concat([analysis.points, big]))
    svg = draw_figures(both, sample.run_view(), file_format="svg")["figure1-accuracy-latency.svg"].decode()
    assert svg.count("tiny-math-1.5b<") >= 1
    assert svg.count("tiny-math-7b<") >= 1


VLLM_KEYS = (
    "backend",
    "label",
    "model_id",
    "tokenizer_id",
    "num_prompts",
    "request_rate",
    "burstiness",
    "max_concurrency",
    "duration",
    "completed",
    "failed",
    "total_input_tokens",
    "total_output_tokens",
    "request_throughput",
    "output_throughput",
    "total_token_throughput",
    "input_lens",
    "output_lens",
    "ttfts",
    "itls",
    "latencies",
    "start_times",
    "generated_texts",
    "errors",
)


def test_the_vllm_export_has_the_keys_of_vllm_and_the_figures_of_the_point() -> None:
    """For a measured point: counts, lists of one length, and statistics that follow from the lists."""
    files = export_vllm(sample.analysis(), sample.run_view())
    name = next(n for n in files if "tp1-pp1-dp1_none-truncate-4096" in n and n.startswith("vllm"))
    result = json.loads(files[name])
    assert set(VLLM_KEYS) <= set(result)
    assert {f"{s}_{m}_ms" for s in ("mean", "median", "std", "p99") for m in ("ttft", "tpot", "itl", "e2el")} <= set(
        result
    )
    assert (result["num_prompts"], result["completed"], result["failed"]) == (12, 11, 1)
    assert {len(result[k]) for k in ("input_lens", "output_lens", "ttfts", "itls", "latencies", "errors")} == {12}
    good = [latency for latency, error in zip(result["latencies"], result["errors"], strict=True) if not error]
    assert result["mean_e2el_ms"] == pytest.approx(1e3 * sum(good) / len(good))
    assert result["total_output_tokens"] == sum(200 + 37 * p for p in range(11))
    assert result["max_concurrency"] == 1


def test_the_time_of_an_exported_point_is_its_own() -> None:
    """Between two starts of a setting run the others."""
    analysis = sample.analysis()
    timed = replace(analysis, points=analysis.points.with_columns(wall_s=pl.lit(50.0)))
    for content in export_vllm(timed, sample.run_view()).values():
        result = json.loads(content)
        assert result["duration"] == 50.0
        assert result["output_throughput"] == pytest.approx(result["total_output_tokens"] / 50.0)


def test_the_vllm_export_holds_every_point_derived_ones_too() -> None:
    """One file a (setting, method, budget, load)."""
    files = export_vllm(sample.analysis(), sample.run_view())
    assert len(files) == sample.analysis().points.height


def row(**changes: object) -> RequestRecord:
    """100 tokens: the first at 1 s, then 33 chunks of three, 0.1 s apart."""
    first = next(sample.records(hostile=False))
    timeline = Timeline(us=(1_000_000, *[100_000] * 33), tokens=(1, *[3] * 33), chars=(1, *[3] * 33))
    return replace(
        first,
        sent_ns=10**9,
        first_token_ns=2 * 10**9,
        last_token_ns=2 * 10**9 + 33 * 10**8,
        completion_tokens=100,
        text="x" * 100,
        timeline=timeline,
        **changes,  # type: ignore[arg-type]
    )


def test_an_exported_request_is_cut_where_its_budget_ends() -> None:
    """Latency, tokens, gaps and text of a prefix; the whole where it fits."""
    whole, half = exchange(row(), 4096), exchange(row(), 50)
    assert (whole.output_len, len(whole.itls_s)) == (100, 33)
    assert whole.latency_s == pytest.approx(4.3)
    assert (half.output_len, len(half.text)) == (50, 49), "the text of whole chunks"
    assert half.latency_s == pytest.approx(1.0 + 17 * 0.1)
    assert half.ttft_s + sum(half.itls_s) == pytest.approx(half.latency_s)


def test_responses_are_read_once_however_many_points_there_are() -> None:
    """The file of a large run is gone through once."""
    calls = []

    def read() -> list[RequestRecord]:
        calls.append(1)
        return list(sample.records())

    run = replace(sample.run_view(), read_responses=read)
    export_vllm(sample.analysis(), run)
    REPORTS["html"].render(sample.analysis(), run, look=LOOK)
    assert len(calls) == 2
    assert RunView().read_responses() == ()
