"""The HTML report in a real headless Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.integration import chromium
from tests.unit import test_reports_sample as sample
from tts_compare.reports import REPORTS, Look, RunView

PROGRAM = chromium.find()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs chromium (apt-get install chromium)")
TITLE = "quickstart"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a page whose responses, doubts and errors are hostile, with two loads."""
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    made = REPORTS["html"].render(
        sample.analysis(loads=("c1", "c8"), hostile=True), sample.run_view(hostile=True), look=Look()
    )
    assert isinstance(made, str)
    path.write_text(made, encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Page]:
    """One browser for all."""
    assert PROGRAM is not None
    with chromium.launch(PROGRAM) as page:
        yield page


@pytest.fixture
def page(browser: chromium.Page, address: str) -> chromium.Page:
    """The page, freshly opened on a desktop."""
    browser.requests.clear()
    browser.complaints.clear()
    browser.resize(1440, 900)
    browser.open(address)
    return browser


def marks(page: chromium.Page, figure: str) -> int:
    """How many point marks a figure shows, invisible ones for fingers left out."""
    return int(
        page.value(
            f"[...document.querySelectorAll('#{figure} g.mark-symbol.role-mark path')]"
            ".filter((p) => Number(getComputedStyle(p).opacity) > 0.01 && p.getAttribute('fill') !== 'transparent'"
            " && p.getAttribute('fill') !== 'none').length"
        )
    )


def test_every_figure_is_drawn_with_every_point(page: chromium.Page) -> None:
    """Frontier, both budget curves and both distributions, counted in the SVG."""
    points = sample.analysis().points.height
    for figure in ("figure-frontier", "figure-accuracy-curve", "figure-cost-curve"):
        assert marks(page, figure) >= points, figure
    for figure in ("figure-latency", "figure-rate"):
        count = page.value(f"document.querySelectorAll('#{figure} svg g.mark-rect path').length")
        assert count >= len(sample.settings()), figure


def test_nothing_is_asked_of_the_network_and_nothing_is_complained_of(page: chromium.Page, address: str) -> None:
    """The file itself, and no error or warning in the console, after everything has been used."""
    for axis in page.value("[...document.querySelectorAll('#axis input')].map((i) => i.value)"):
        page.value(f"document.querySelector('#axis input[value={axis}]').click()")
        page.wait(f"document.getElementById('figure-frontier').dataset.drawn === 'frontier_{axis}'")
    assert [url for url in page.requests if not url.startswith("data:")] == [address]
    assert page.complaints == []


def test_the_page_itself_forbids_every_connection(page: chromium.Page) -> None:
    """A script that got in could neither load nor send: fetch, images and added scripts are refused."""
    assert page.value("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
    page.value(
        "(() => { const s = document.createElement('script'); s.textContent = \"document.title = 'gone'\";"
        " const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(s, i); })()"
    )
    assert page.value("document.title") == TITLE
    assert any("Content Security Policy" in complaint for complaint in page.complaints)


def test_hovering_a_point_shows_its_figures(page: chromium.Page) -> None:
    """Setting, budget, accuracy with its interval, latency, failures."""
    finger = "[...document.querySelectorAll('#figure-frontier g.mark-symbol.role-mark')].at(-1).firstElementChild"
    finger = "[...document.querySelectorAll('#figure-frontier g.mark-symbol.role-mark')].at(-1).firstElementChild"
    x, y = page.middle(finger)
    page.move(x, y)
    page.wait("document.querySelector('#vg-tooltip-element.visible')")
    told = page.value("document.querySelector('#vg-tooltip-element').innerText")
    for word in ("setting", "budget", "accuracy", "mean latency", "truncated", "failed", "of 40", "%"):
        assert word in told, (word, told)


def test_the_switch_changes_the_axis_of_both_figures(page: chromium.Page) -> None:
    """By a click of the mouse on what is seen: title, formula and curve follow."""
    before = page.value("document.getElementById('figure-frontier').textContent")
    assert "Mean latency (s)" in before
    page.click(*page.middle("document.querySelector('#axis input[value=paper_cost] + span')"))
    page.wait("document.getElementById('figure-frontier').dataset.drawn === 'frontier_paper_cost'")
    for figure in ("figure-frontier", "figure-cost-curve"):
        assert "Cost per token (device-ms)" in page.value(f"document.getElementById('{figure}').textContent")
    assert "how cost_per_token_gpu_s is computed" in page.value("document.getElementById('formula-x').textContent")
    assert marks(page, "figure-frontier") >= sample.analysis().points.height


def test_a_hostile_response_stays_text(page: chromium.Page) -> None:
    """Its tags are shown, none is made, and its script has not run."""
    page.value("document.querySelector('#rows tr.row button').click()")
    shown = page.value("document.querySelector('#rows tr.detail').innerText")
    assert "<script>document.title='gone'</script>" in shown
    assert "<img src=x onerror=" in shown
    assert "\\x1b[2J" in shown
    assert page.value("document.querySelectorAll('main img, main script').length") == 0
    assert page.value("document.scripts.length") == 3
    assert page.value("document.title") == TITLE


def choose(page: chromium.Page, name: str, value: str) -> None:
    """Set a filter as a user does."""
    page.value(
        f"(() => {{ const s = document.getElementById('filter-{name}'); s.value = {json.dumps(value)};"
        " s.dispatchEvent(new Event(s.type === 'search' ? 'input' : 'change')); })()"
    )


def rows(page: chromium.Page, column: int) -> list[str]:
    """The texts of one column of the table of responses."""
    found = page.value(
        f"[...document.querySelectorAll('#rows tr.row td:nth-child({column})')].map((c) => c.textContent)"
    )
    return [str(text) for text in found]


def test_responses_are_filtered_by_level_subject_outcome_setting_and_text(page: chromium.Page) -> None:
    """Alone and together; what is shown is what matches, and all of it."""
    responses = len(sample.settings()) * 12
    assert page.value("document.getElementById('place').textContent") == f"1 to 40 of {responses}"
    choose(page, "level", "3")
    assert set(rows(page, 2)) == {"3"}
    assert len(rows(page, 1)) == 2 * len(sample.settings())
    choose(page, "subject", "number theory")
    assert set(rows(page, 1)) == {"p2"}
    choose(page, "outcome", "correct")
    assert page.value("document.getElementById('place').textContent") == "no response matches"
    choose(page, "outcome", "incorrect")
    assert set(rows(page, 6)) == {"wrong"}
    for name in ("level", "subject", "outcome"):
        choose(page, name, "")
    choose(page, "outcome", "failed")
    assert set(rows(page, 1)) == {"p11"}
    choose(page, "outcome", "")
    choose(page, "series", "vllm tp1 ngram")
    assert set(rows(page, 4)) == {"vllm tp1 ngram"}
    choose(page, "search", "onerror")
    assert rows(page, 1) == ["p0"]


def test_another_load_shows_its_own_points(page: chromium.Page) -> None:
    """And no responses where none were measured."""
    page.value(
        "(() => { const s = document.getElementById('group'); s.value = '1'; s.dispatchEvent(new Event('change')); })()"
    )
    page.wait("document.getElementById('spread').hidden")
    assert marks(page, "figure-frontier") >= sample.analysis().points.height
    assert page.value("document.getElementById('place').textContent") == "no response matches"


@pytest.mark.parametrize("width", [1440, 390])
def test_a_legend_of_many_long_names_hides_none(browser: chromium.Page, tmp_path: Path, width: int) -> None:
    """Thirty settings whose names begin alike: every name is whole and inside the figure."""
    names = [f"vllm/a-distilled-model-of-some-billions-{i}/tp1-pp1-dp1/none" for i in range(30)]
    analysis = sample.analysis()
    rows = [sample.point(name, 1024) for name in names]
    flags = {flag: False for flag in analysis.points.columns if flag.startswith("on_")}
    points = pl.DataFrame([row | flags for row in rows], schema=analysis.points.schema)
    made = REPORTS["html"].render(replace(analysis, points=points), RunView(), look=Look())
    assert isinstance(made, str)
    (tmp_path / "many.html").write_text(made, encoding="utf-8")
    browser.resize(width, 844)
    browser.open((tmp_path / "many.html").as_uri())
    shown = browser.value(
        "(() => { const f = document.querySelector('#figure-frontier svg');"
        " const edge = f.getBoundingClientRect().right; return [...f.querySelectorAll('.role-legend-label text')]"
        ".filter((t) => t.getBoundingClientRect().right <= edge).map((t) => t.textContent); })()"
    )
    assert sorted(shown) == sorted(f"vllm a-distilled-model-of-some-billions-{i}" for i in range(30))


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (390, False), (390, True)])
def test_the_page_fits_its_screen_in_both_themes(
    browser: chromium.Page, address: str, width: int, *, dark: bool
) -> None:
    """Nothing hangs over the edge, figures fill the column, and text stands out from its background."""
    browser.resize(width, 844, dark=dark)
    browser.open(address)
    assert browser.value("document.documentElement.scrollWidth") <= width
    drawn = browser.value("document.querySelector('#figure-frontier svg').getBoundingClientRect().width")
    assert 0.6 * width <= drawn <= width
    ink, back = browser.value(
        "(() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]; })()"
    )
    assert contrast(ink, back) >= 7
    soft = browser.value("getComputedStyle(document.querySelector('.formula')).color")
    assert contrast(soft, back) >= 4.5
    colours = browser.value(
        "[...document.querySelectorAll('#figure-frontier .role-legend-symbol path')]"
        ".map((p) => getComputedStyle(p).fill)"
    )
    assert len(set(colours)) == len(sample.settings())
    assert min(contrast(colour, back) for colour in colours) >= 3


def contrast(one: str, two: str) -> float:
    """WCAG 2's contrast ratio of two ``rgb(r, g, b)`` colours."""

    def luminance(colour: str) -> float:
        channels = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
