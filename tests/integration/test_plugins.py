"""What another package registers by entry point is used by its name as ours is; what does not load is one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import tts_compare
from tests.integration.running import rows_of
from tests.standin import model_directory

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "tests" / "plugins"


def program(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    """The program, in an environment that has the other package too, and no engine."""
    path = os.pathsep.join([str(PLUGINS), str(ROOT)])
    environ = os.environ | {"PYTHONPATH": path, "TTS_COMPARE_DATA": str(data)}
    return subprocess.run(
        [sys.executable, "-m", "tts_compare", *arguments], capture_output=True, text=True, env=environ, check=False
    )


def test_a_run_with_everything_from_another_package(tmp_path: Path) -> None:
    """Its engine, launcher, method, data set and report."""
    model = model_directory(tmp_path)
    out = tmp_path / "run"
    ran = program(
        *("run", "--backend=abacus", "--launcher=nearby", "--method=twice", "--dataset=sums", f"--model={model}"),
        *("--device=cpu", "--budget=8,16", f"--out={out}"),
        data=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    rows = [row for row in rows_of(out) if row.phase == "measured"]
    assert {row.setting.split("/")[0] for row in rows} == {"abacus"}
    assert {(row.method, row.problem) for row in rows} == {("twice", "1"), ("twice", "2")}
    assert all(row.ok for row in rows)
    reported = program("report", str(out), "--format=count", data=tmp_path)
    assert (reported.returncode, reported.stdout) == (0, "2 points\n"), reported.stderr


def test_a_part_that_does_not_load_is_a_line_of_the_doctor_and_stops_nothing(tmp_path: Path) -> None:
    told = program("engines", "doctor", data=tmp_path)
    lines = [line for line in told.stdout.splitlines() if line.startswith("abacus: ")]
    assert lines == [
        "abacus: broken (tts_compare.backends) cannot be used: ModuleNotFoundError: No module named 'abacus.nowhere'",
        "abacus: vllm (tts_compare.backends) cannot be used: ValueError: the name is taken by tts-compare itself",
    ]
    assert "Traceback" not in told.stderr
    assert re.search(r"abacus +│ .*cpu +│ yes", told.stdout), told.stdout


def test_a_wrong_name_is_told_with_theirs_among_ours(tmp_path: Path) -> None:
    wrong = program("plan", "--backend=abacusses", f"--model={model_directory(tmp_path)}", data=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean 'abacus'" in wrong.stderr


def test_the_contract_holds_for_another_packages_parts() -> None:
    """The contract tests run over the mappings, so they run over what is registered."""
    kinds = {"backends": "abacus", "launchers": "nearby", "methods": "twice", "reports": "count"}
    files = [f"tests/contract/test_{kind}.py" for kind in kinds]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *files, "-vv", "-k", " or ".join(kinds.values()), "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PLUGINS), str(ROOT)])},
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    for kind, name in kinds.items():
        assert re.search(rf"test_{kind}\.py::\w+\[.*{name}.*\] PASSED", ran.stdout), ran.stdout[-3000:]


def test_nothing_of_ours_names_the_other_package() -> None:
    sources = [*Path(tts_compare.__file__).parent.rglob("*.py"), ROOT / "pyproject.toml"]
    assert [path for path in sources if "abacus" in path.read_text().lower()] == []


def test_the_documentations_example_is_the_engine_that_runs_here() -> None:
    page = (ROOT / "docs" / "adding-a-backend.md").read_text()
    (example,) = re.findall(r"^```python\n(\"\"\"Abacus.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert example == (PLUGINS / "abacus" / "engine.py").read_text()
