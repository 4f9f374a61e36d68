"""The terminal's report as it is without ``--full``: short, the answer first, readable anywhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import manifest
from tests.unit import test_reports_sample as sample
from tts_compare.analysis.findings.warning_groups import group_warnings
from tts_compare.cli import main
from tts_compare.codes import warn
from tts_compare.domain import Price
from tts_compare.judge.prices import Prices
from tts_compare.reports import REPORTS, Look
from tts_compare.reports.labels import label_settings

GOLDEN = Path(__file__).parents[1] / "golden"
RUNS = ("quickstart", "votes", "import")


def report(name: str, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """What ``tts-compare report`` prints of a golden run."""
    assert main(["report", str(GOLDEN / name), *flags]) == 0
    return capsys.readouterr().out


def brief(**look: Any) -> str:
    """The sample's report."""
    made = REPORTS["console"].render(sample.analysis(), sample.run_view(), look=Look(**look))
    assert isinstance(made, str)
    return made


def test_the_report_of_the_quickstart_fits_sixty_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 columns, in which no line is wider."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = report("quickstart", capsys).splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 80


def test_the_first_twenty_lines_answer_what_people_ask(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which, how sure, how much better, at what cost, what went wrong, what next."""
    monkeypatch.setenv("COLUMNS", "80")
    text = " ".join(report("quickstart", capsys).splitlines()[:20])
    for answer in ("vllm none at 32 tokens", "not confirmed (one start", "1.44x faster", "device-s a problem"):
        assert answer in text
    assert "Warning: fewer than 100 problems" in text
    assert "Next: tts-compare run --config quickstart" in text


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("flags", [(), ("--ascii",), ("--full",), ("--claims",)])
def test_no_line_is_wider_than_the_terminal(
    name: str, width: int, flags: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked for, claims too; ASCII alone where it is asked for."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = report(name, capsys, *flags)
    assert max(map(len, text.splitlines())) <= width
    assert text.isascii() or "--ascii" not in flags


def test_a_dumb_terminal_gets_ascii_and_no_colour(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As TERM says."""
    monkeypatch.setenv("TERM", "dumb")
    assert report("quickstart", capsys).isascii()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_colour_changes_no_word(width: int) -> None:
    """A pipe gets the same text without escape sequences."""
    plain, coloured = brief(width=width), brief(width=width, colour=True)
    assert "\x1b[" not in plain
    assert "\x1b[" in coloured
    assert [x.rstrip() for x in re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines()] == plain.splitlines()


def test_points_on_a_frontier_stand_first_and_say_which_in_words() -> None:
    """Those of latency and cost before that of tokens alone before the rest."""
    lines = brief(width=120).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("setting"))
    rows = [line for line in lines[start + 2 :] if re.search(r"[124]k", line)][:12]
    ranks = [0 if re.search(r"(latency|cost|dollars|all)", row) else 1 if "tokens" in row else 2 for row in rows]
    assert ranks == sorted(ranks)
    assert 0 in ranks


def test_claims_are_shown_only_when_asked_for_and_in_addition(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer stays first."""
    without, with_claims = report("quickstart", capsys), report("quickstart", capsys, "--claims")
    assert "arXiv:2509.19645" not in without
    assert with_claims.startswith(without.splitlines()[0])
    assert "(f) the compute-optimal setting" in with_claims


def test_a_comparison_names_the_faster_side_first(capsys: pytest.CaptureFixture[str]) -> None:
    """``sglang none to vllm none: 1.44x`` leaves open which is faster."""
    text = re.sub(r"\s+", " ", report("quickstart", capsys))
    assert "vllm none is 1.44x faster in this one start (not confirmed) than sglang none" in text


def test_an_engines_death_is_one_warning() -> None:
    """What follows from it is named, not told apart; another setting's failures are."""
    found = [
        warn("client_lag", "11 ms late", setting="a"),
        warn("client_lag", "14 ms late", setting="a"),
        warn("failed_requests", setting="a"),
        warn("censored", setting="a"),
        warn("never_sent", setting="a"),
        warn("engine_died", setting="a"),
        warn("failed_requests", "3 requests failed", setting="b"),
    ]
    groups = group_warnings(found, manifest())
    assert [group.code for group in groups] == ["engine_died", "client_lag", "failed_requests"] or [
        group.code for group in groups
    ] == ["engine_died", "failed_requests", "client_lag"]
    assert set(groups[0].also) == {"censored", "failed_requests", "never_sent"}
    lag = next(group for group in groups if group.code == "client_lag")
    assert (lag.count, lag.message, lag.settings) == (2, "14 ms late", ("a",))
    assert next(group for group in groups if group.code == "failed_requests").settings == ("b",)


def test_no_warning_is_lost_by_grouping() -> None:
    """Every code is a group or follows from one."""
    for name in RUNS:
        codes = {row["code"] for row in json.loads((GOLDEN / f"{name}.report.json").read_text())["doubts"]}
        groups = group_warnings([warn(code, setting="a") for code in sorted(codes)], manifest())
        assert {code for group in groups for code in (group.code, *group.also)} == codes


def test_a_price_given_to_the_report_is_in_its_dollars(capsys: pytest.CaptureFixture[str]) -> None:
    """Twice the price of a device hour is twice the dollars; a hosted price is by name."""
    for hour, expected in (("1", "$0.68"), ("2", "$1.36")):
        assert f"{expected} per 1k problems" in re.sub(r"\s+", " ", report("votes", capsys, "--gpu-hour-usd", hour))
    dear = report("votes", capsys, "--price", "openai=15/60")
    assert re.search(r"\$19\.2\d", dear)


def test_a_price_of_no_setting_is_refused() -> None:
    """With the settings there are."""
    known = manifest(settings={"vllm/m/tp1-pp1-dp1/none": {"backend": "vllm"}})
    with pytest.raises(Exception, match="no setting of this name"):
        Prices(hosted={"gpt": Price(input=1.0, output=2.0)}).over(known)


def test_a_setting_has_the_name_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    """In the verdict, the table and the sentences."""
    text = report("votes", capsys, "--name", "openai=gateway")
    assert "gateway" in text
    assert "openai (hosted)" not in text
    assert main(["report", str(GOLDEN / "votes"), "--name", "nothing=x"]) == 2
    assert "no setting of this name" in capsys.readouterr().err


def test_no_heading_holds_a_hash() -> None:
    """What an id hashes is said in words of the manifest."""
    base = "vllm/m/tp1-pp1-dp1/none"
    settings = {
        base: {"backend": "vllm"},
        f"{base}/a1b2c3": {"backend": "vllm", "dtype": "float32"},
        f"{base}/0d1e2f": {"backend": "vllm", "engine_args": ["--enforce-eager"]},
        "openai/m/tp1-pp1-dp1/none/d58a14": {"backend": "openai", "hosted": True, "base_url": "https://a.example/v1"},
        "openai/m/tp1-pp1-dp1/none/d58a15": {"backend": "openai", "hosted": True, "base_url": "https://b.example/v1"},
    }
    found = label_settings(list(settings), manifest(settings=settings).settings)
    assert set(found.of.values()) == {
        *("vllm", "vllm float32", "vllm --enforce-eager"),
        *("openai (hosted) a.example", "openai (hosted) b.example"),
    }


@pytest.mark.parametrize(
    ("column", "said"),
    [("latency_mean_s", "formula: mean of last token"), ("p90_latency", "latency_p90_s"), ("cost_ratio", "pairs")],
)
def test_a_column_is_explained(column: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Formula, source and population, without a run."""
    assert main(["report", "--explain", column]) == 0
    text = capsys.readouterr().out
    assert said in text
    assert "population: " in text
    assert "source: " in text


def test_an_unknown_column_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing where none is near."""
    assert main(["report", "--explain", "latency_mean"]) == 2
    assert "latency_mean_s" in capsys.readouterr().err
    assert main(["report", "--explain", "zzzz"]) == 2
    assert "is it" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["console", "markdown", "html", "latex", "json"])
def test_every_format_holds_the_verdict(name: str) -> None:
    """The first line of it, whatever the format escapes."""
    made = REPORTS[name].render(sample.analysis(), sample.run_view(), look=Look(width=200))
    assert isinstance(made, str)
    assert "System-optimal" in made.replace("\\", "")


def test_the_order_of_settings_in_a_group_changes_no_verdict() -> None:
    """The choice is the data's."""
    whole = sample.analysis()
    turned = replace(whole, points=whole.points.reverse())
    for first, second in zip(brief(width=200).splitlines()[:2], _of(turned).splitlines()[:2], strict=True):
        assert first == second


def _of(analysis: Any) -> str:
    made = REPORTS["console"].render(analysis, sample.run_view(), look=Look(width=200))
    assert isinstance(made, str)
    return made
