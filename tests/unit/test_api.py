"""The Python API: what a notebook loads, compares and measures."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tts_compare as ttc
import tts_compare.api
from tests.golden_compare import GOLDEN
from tts_compare.config import load_experiment

QUICKSTART = GOLDEN / "quickstart"
HEAVY = ("polars", "numpy", "httpx", "rich", "datasets", "vl_convert", "msgspec", "uvloop", "tts_compare.api")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, tts_compare; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_is_there_and_no_other() -> None:
    assert ttc.__all__ == sorted(ttc.__all__)
    assert dir(ttc) == ttc.__all__
    assert all(getattr(ttc, name) is not None for name in ttc.__all__)
    assert set(tts_compare.api.__all__) < set(ttc.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = ttc.lod


def test_type_checkers_see_every_public_name() -> None:
    tree = ast.parse(Path(ttc.__file__).read_text(encoding="utf-8"))
    seen = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(ttc.__all__) - {"__version__"} <= seen


def test_a_function_of_the_api_is_not_hidden_by_a_module_of_its_name() -> None:
    modules = {one.name for one in pkgutil.iter_modules(ttc.__path__)}
    assert not modules & set(ttc.__all__)


@pytest.mark.parametrize("name", ["", ".experiment", ".figure", ".measuring", ".runs"])
def test_the_examples_in_docstrings_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN.parents[1])
    module = importlib.import_module(f"tts_compare.api{name}")
    failed, tried = doctest.testmod(module, extraglobs={"ttc": ttc}, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert not failed
    assert tried or name in (".figure", ".measuring")


def test_the_examples_of_the_documentation_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN.parents[1])
    page = GOLDEN.parents[1] / "docs" / "python.md"
    failed, tried = doctest.testfile(str(page), module_relative=False, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert not failed
    assert tried > 5


def test_a_loaded_run_has_its_rows_its_points_and_what_they_mean() -> None:
    run = ttc.load(QUICKSTART)
    assert run.records.height == len((QUICKSTART / "records.jsonl").read_text().splitlines())
    assert run.points.height == 9
    assert run.points is run.points
    frontier = run.frontier("latency")
    assert frontier.height > 0
    on = run.points.filter(run.points["on_latency_frontier"])
    assert set(frontier["setting"]) == set(on["setting"])
    assert run.warnings == run.analysis.doubts
    assert next(run.read_records()).setting == run.records["setting"][0]
    assert "4 settings" not in repr(run)
    assert "3 settings" in repr(run)


def test_several_runs_are_loaded_as_one() -> None:
    both = ttc.load(QUICKSTART, GOLDEN / "votes")
    assert {name.partition(":")[0] for name in both.points["setting"]} == {"quickstart", "votes"}
    assert both.name == "quickstart, votes"


def test_objectives_are_kept_by_the_point_that_is_chosen() -> None:
    (choice,) = ttc.load(QUICKSTART, slo=["p90_latency=1000"]).slo
    assert choice.point is not None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda run: run.frontier("latncy"), "did you mean 'latency'"),
        (lambda run: run.figure("latncy"), "did you mean 'latency'"),
        (lambda run: run.figure(load="c9"), "there are load='c1'"),
        (lambda run: run.figure("usd"), "no point has a figure"),
        (lambda run: run.report("markdwn"), "did you mean 'markdown'"),
    ],
)
def test_a_mistyped_name_is_told_with_the_nearest(wrong: object, said: str) -> None:
    assert callable(wrong)
    with pytest.raises(ttc.UsageError, match=said):
        wrong(ttc.load(QUICKSTART))


def test_a_directory_that_is_no_run_is_an_error_of_use(tmp_path: Path) -> None:
    with pytest.raises(ttc.UsageError, match=r"no manifest\.json"):
        ttc.load(tmp_path)
    with pytest.raises(ttc.UsageError, match="at least one"):
        ttc.load()


def test_a_figure_is_shown_as_svg_and_saved_as_its_name_ends(tmp_path: Path) -> None:
    figure = ttc.load(QUICKSTART).figure("latency")
    assert figure._repr_svg_().startswith("<svg")
    begins = {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF", "json": b"{"}
    for form, begin in begins.items():
        assert figure.save(tmp_path / f"f.{form}").read_bytes().startswith(begin)
    with pytest.raises(ttc.UsageError, match=r"\.png, \.svg, \.pdf or \.json"):
        figure.save(tmp_path / "f.gif")
    with pytest.raises(ttc.UsageError, match="cannot write"):
        figure.save(tmp_path / "none" / "f.svg")


def test_a_run_compared_with_itself_has_changed_in_nothing() -> None:
    run = ttc.load(QUICKSTART)
    found = ttc.diff(run, QUICKSTART, fail_on=["accuracy < -2pp"])
    assert not found.changes
    assert not found.breaches
    assert found.pairs["accuracy_diff"].to_list() == [0.0] * found.pairs.height


@pytest.mark.parametrize(
    ("keys", "toml", "said"),
    [
        ({"bugdet": 64}, "bugdet = 64", "bugdet: unknown key; did you mean 'budget'?"),
        ({"budget": [0]}, "budget = [0]", "budget"),
        ({"backend": "vlm"}, 'backend = "vlm"', "backend"),
        ({"limits": {"totl_s": 3}}, "limits = {totl_s = 3}", "limits.totl_s"),
        ({"method_options": {"vote": {"x": 1}}}, "method_options = {vote = {x = 1}}", "method_options.vote"),
    ],
)
def test_an_experiment_is_checked_as_the_file_is(keys: dict[str, object], toml: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text(toml)
    with pytest.raises(ttc.UsageError) as by_file:
        load_experiment(file)
    with pytest.raises(ttc.UsageError) as by_value:
        ttc.Experiment(**keys)
    assert str(by_value.value) == str(by_file.value).removeprefix(f"{file}: ")
    assert said in str(by_value.value)


def test_an_experiment_of_a_configuration_takes_python_values_over_it() -> None:
    made = ttc.Experiment("quickstart", model=Path("m"), budget=(8, 16), problems=4)
    assert made.checked == load_experiment("quickstart", {"model": "m", "budget": "8,16", "problems": "4"})
    assert eval(repr(made), {"Experiment": ttc.Experiment}) == made
    assert made.to_keep() == {"config": "quickstart", "flags": {"model": "m", "budget": [8, 16], "problems": 4}}
