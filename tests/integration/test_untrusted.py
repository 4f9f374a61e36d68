"""A run directory, a server and a data set of somebody else: data, never instructions."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.running import bench, rows_of
from tests.integration.test_hosted import argv, endpoint
from tts_compare.cli import main

PACKAGE = Path(__file__).resolve().parents[2] / "tts_compare"
#: Modules that turn data into code or objects, and shells.
FORBIDDEN = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "yaml", "ruamel", "joblib", "code", "runpy"}
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil"
UNSAFE = {chr(code) for code in (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F))}
VIEWS = (
    ["report"],
    ["report", "--claims"],
    ["report", "--format=markdown"],
    ["report", "--format=latex"],
    ["report", "--format=json"],
    ["report", "--format=csv"],
    ["report", "--format=html"],
    ["export"],
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two settings."""
    table = bench(tmp_path_factory.mktemp("good"))
    flags = ("--backend=vllm", "--spec=none,ngram", "--problems=4", "--budget=8,24", "--quiet")
    assert main(table.argv("run", *flags)) == 0
    return table.home / "run"


@pytest.fixture
def copied(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "copied"))


def trees() -> list[tuple[Path, ast.AST]]:
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(PACKAGE.rglob("*.py"))]


def test_nothing_in_the_package_turns_data_into_code() -> None:
    found: list[tuple[str, int, str]] = []
    for path, tree in trees():
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").split(".")[0]]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                names = ["pickle"]
            elif isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) == "True":
                names = ["code"]
            found += [(path.name, getattr(node, "lineno", 0), name) for name in names if name in FORBIDDEN]
    assert len(trees()) > 100
    assert found == []


def test_no_module_is_imported_by_a_name_found_in_data() -> None:
    calls = [
        (path.name, node.args[0])
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__"))
    ]
    assert calls
    named = [(name, ast.unparse(module)) for name, module in calls if not isinstance(module, ast.Constant)]
    assert named == [("main.py", "f'tts_compare.cli.{_HOMES[arguments.command]}'")]


def unsafe(text: str) -> set[str]:
    return set(text) & UNSAFE


def poison(run: Path) -> None:
    """Escape sequences wherever a run directory holds text from outside."""
    manifest = json.loads((run / "manifest.json").read_text())
    (first, *_) = manifest["settings"]
    evil = f"{first}{EVIL}"
    text = (run / "manifest.json").read_text().replace(json.dumps(first)[1:-1], json.dumps(evil)[1:-1])
    manifest = json.loads(text)
    manifest["name"] += EVIL
    manifest["dataset"]["name"] += EVIL
    manifest["machine"]["cpu_model"] = EVIL
    manifest["left_out"] = [{"setting": f"vllm/x{EVIL}", "reason": EVIL}]
    manifest["failed"] = [{"setting": f"vllm/y{EVIL}", "cause": EVIL, "log": EVIL, "advice": EVIL}]
    manifest["doubts"] += [{"code": "x", "message": EVIL, "advice": EVIL, "setting": None, "points": []}]
    (run / "manifest.json").write_text(json.dumps(manifest))
    for name in ("records.jsonl", "grades.jsonl"):
        rows = [json.loads(line) for line in (run / name).read_text().splitlines()]
        for row in rows:
            row["setting"] = evil if row["setting"] == first else row["setting"]
            if name == "records.jsonl":
                row["text"] += EVIL
            elif row["answer"]:
                row["answer"] += EVIL
        if name == "records.jsonl":
            rows[-1]["error"] = {"kind": "in_band", "status": 200, "message": EVIL, "retry_after_s": None}
        (run / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("view", VIEWS, ids=" ".join)
def test_no_report_of_a_poisoned_run_steers_a_terminal(
    view: list[str], copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poison(copied)
    assert main([view[0], str(copied), *view[1:]]) == 0
    said = capsys.readouterr()
    assert len(said.out) > 100
    assert unsafe(said.out + said.err) == set()


def test_neither_a_comparison_nor_an_explanation_does(
    copied: Path, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poison(copied)
    problem = next(row.problem for row in rows_of(copied) if row.phase == "measured")
    assert main(["diff", str(good), str(copied), "--fail-on", "accuracy < -2pp"]) == 2  # evil has no partner
    assert main(["grade", str(copied), "--explain", problem]) == 0
    assert main(["grade", str(copied)]) == 0
    said = capsys.readouterr()
    assert "evil" in said.out + said.err
    assert unsafe(said.out + said.err) == set()


def test_what_a_server_says_of_itself_steers_no_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with endpoint(tmp_path / "server", "--model", f"named{EVIL}", key=None) as url:
        assert main(argv(url, tmp_path / "run")) == 2
    said = capfd.readouterr()
    assert "named" in said.err
    assert said.err.count("\n") == 1
    assert unsafe(said.out + said.err) == set()


def test_setting_names_lead_no_path_out_of_the_run(copied: Path, tmp_path: Path) -> None:
    manifest = (copied / "manifest.json").read_text()
    (first, *_) = json.loads(manifest)["settings"]
    evil = "vllm/../../../../../../escaped"
    for name in ("manifest.json", "records.jsonl", "grades.jsonl"):
        (copied / name).write_text((copied / name).read_text().replace(json.dumps(first), json.dumps(evil)))
    out = tmp_path / "deep" / "deeper" / "out"
    before = set(tmp_path.rglob("*"))
    assert main(["export", str(copied), f"--output={out}"]) == 0
    assert main(["report", str(copied), f"--figures={out / 'figures'}", "--format=svg"]) == 0
    assert main(["grade", str(copied)]) == 0
    made = set(tmp_path.rglob("*")) - before
    assert len(made) > 3
    assert [path for path in made if out != path and out not in path.parents and path not in out.parents] == []


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    return [path] * bool(path) + [leaf for key, child in inside for leaf in leaves(child, (*path, key))]


HOSTILE: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 10**30, 1e308, "", "x" * 5000, "../../etc/passwd", EVIL, [], {}, [[]], {"a": {"b": None}}]
)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_manifest_with_anything_in_it_ends_in_a_report_or_in_one_line(
    data: st.DataObject, good: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    run = good.parent / "hostile"
    shutil.copytree(good, run, dirs_exist_ok=True)
    manifest = json.loads((good / "manifest.json").read_text())
    path = data.draw(st.sampled_from(leaves(manifest)))
    place = manifest
    for key in path[:-1]:
        place = place[key]
    if data.draw(st.booleans()):
        place[path[-1]] = data.draw(HOSTILE)
    else:
        del place[path[-1]]
    (run / "manifest.json").write_text(json.dumps(manifest))
    capsys.readouterr()
    status = main(data.draw(st.sampled_from([["report", str(run), "--format=json"], ["grade", str(run)]])))
    said = capsys.readouterr()
    assert status in (0, 1, 2)
    if status:
        assert said.err.count("\n") == 1, path
        assert said.err.startswith("tts-compare: ")


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_records_with_anything_in_them_end_in_a_report_or_in_one_line(
    data: st.DataObject, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = good.parent / "hostile-rows"
    shutil.copytree(good, run, dirs_exist_ok=True)
    name = data.draw(st.sampled_from(["records.jsonl", "grades.jsonl"]))
    rows = [json.loads(line) for line in (good / name).read_text().splitlines()]
    row = rows[data.draw(st.integers(0, len(rows) - 1))]
    row[data.draw(st.sampled_from(sorted(row)))] = data.draw(HOSTILE)
    (run / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    capsys.readouterr()
    status = main(["report", str(run), "--format=json"])
    said = capsys.readouterr()
    assert status in (0, 1, 2)
    if status:
        assert said.err.startswith("tts-compare: ")
        assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b'{"format": 1}', b'{"format": 99}', b"\x00\xff", b"[" * 100_000]
)
@pytest.mark.parametrize("command", ["report", "grade", "export"])
def test_a_manifest_that_is_none_is_one_line(
    command: str, content: bytes, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "manifest.json").write_bytes(content)
    assert main([command, str(copied)]) in (1, 2)
    said = capsys.readouterr().err
    assert said.startswith("tts-compare: ")
    assert said.count("\n") == 1
