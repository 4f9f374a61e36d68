"""Installing, with real pip and real environments: a toy engine for what must fail, the engines for what must not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines import toy
from tts_compare.errors import RunError, UsageError
from tts_compare.installer.doctor import doctor
from tts_compare.installer.install import InstallRequest, InstallStep, install, install_all
from tts_compare.installer.recipes import PINNED, Recipe
from tts_compare.installer.registry import EnginePython, find_python, list_installed

pytestmark = pytest.mark.engines
ROOT = Path(__file__).resolve().parents[2]
HOME = f"vllm-{toy.VERSION}-cpu"


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of the test's own, empty."""
    monkeypatch.setenv("TTS_COMPARE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, own_data: Path) -> Callable[[Recipe], None]:
    """Let ``install("vllm")`` build a recipe of ours."""
    return lambda recipe: monkeypatch.setattr("tts_compare.installer.install.recipe", lambda *_: recipe)


def test_a_whole_environment_is_found_again_and_not_built_twice(use: Callable[[Recipe], None], tmp_path: Path) -> None:
    use(toy.recipe(tmp_path))
    told: list[InstallStep] = []
    first = install("vllm", device="cpu", progress=told.append)
    assert subprocess.run([first.path, "-c", "import toy_engine"], check=False).returncode == 0
    assert [p.step for p in told] == sorted(p.step for p in told)
    assert {p.title for p in told} >= {"the virtual environment", "its part", "the engine"}
    assert "a few kB" in told[0].detail
    (installed,) = list_installed()
    assert (installed.version, installed.torch, installed.directory.name) == ("1.0", "0.toy", HOME)
    assert find_python("vllm", None, overrides={}, device="cpu") == first
    told.clear()
    assert install("vllm", device="cpu", progress=told.append) == first
    assert told == [], "found at once, and the lock of the first was free"


def test_a_failed_step_leaves_no_whole_environment_and_is_taken_up_where_it_stopped(
    use: Callable[[Recipe], None], tmp_path: Path
) -> None:
    recipe = toy.recipe(tmp_path)
    engine_wheel = Path(recipe.steps[-1].pip[-1])
    hidden = engine_wheel.rename(engine_wheel.with_suffix(".away"))
    use(recipe)
    with pytest.raises(RunError, match=r"failed at 'the engine': ERROR: .*log: .*run the same command again"):
        install("vllm", device="cpu")
    assert list_installed() == ()
    with pytest.raises(UsageError, match="engines install vllm"):
        find_python("vllm", None, overrides={}, device="cpu")
    (row,) = [d for d in doctor() if d.engine == "vllm" and d.path]
    assert not row.healthy
    assert "go on with it" in row.advice[0]
    hidden.rename(engine_wheel)
    told: list[InstallStep] = []
    install("vllm", device="cpu", progress=told.append)
    assert [p.detail for p in told if p.title == "its part"] == ["done before"]
    assert len(list_installed()) == 1


def test_an_engine_that_does_not_import_is_not_installed(use: Callable[[Recipe], None], tmp_path: Path) -> None:
    use(toy.recipe(tmp_path, broken=True))
    with pytest.raises(RunError, match="does not import: ImportError: toy is broken"):
        install("vllm", device="cpu")
    assert list_installed() == ()


def test_a_package_whose_unpacking_was_cut_off_is_unpacked_again(use: Callable[[Recipe], None], tmp_path: Path) -> None:
    recipe = toy.recipe(tmp_path)
    use(recipe)
    path = install("vllm", device="cpu").path
    site = next(path.parents[1].glob("lib/python*/site-packages"))
    (path.parents[1] / "tts-compare.json").unlink()
    (path.parents[1] / ".tts-compare-steps" / recipe.steps[0].stamp).unlink()
    (site / "toy_part.py").unlink()
    (site / "toy_part-1.0.dist-info" / "RECORD").unlink()
    install("vllm", device="cpu")
    assert (site / "toy_part.py").exists()


def test_naming_an_engine_twice_is_bad_usage(own_data: Path) -> None:
    with pytest.raises(UsageError, match="named twice"):
        install_all([InstallRequest(engine="vllm", device="cpu"), InstallRequest(engine="vllm", device="cpu")])
    assert not own_data.exists()


@pytest.fixture
def toy_installer(tmp_path: Path, own_data: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts an installation of the slow toy in a process of its own; what is left of it is killed in the end."""
    begun: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "tests.engines.toy", str(tmp_path)]
        begun.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True))
        return begun[-1]

    yield begin
    for process in begun:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(path: Path) -> str:
    """The text of a file that another process is about to write."""
    deadline = time.monotonic() + 60
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"{path.name} was never written"
        time.sleep(0.02)
    return path.read_text()


def test_a_killed_installation_is_not_taken_for_whole_and_a_second_one_waits_for_what_it_left_running(
    toy_installer: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    first = toy_installer()
    builder = int(wait_for(tmp_path / "building"))
    first.kill()
    first.wait()
    assert list_installed() == ()
    os.kill(builder, 0)  # pip's build lives on, as it would after a SIGKILL by the kernel
    second = toy_installer()
    assert second.stdout is not None
    assert "waiting" in second.stdout.readline()
    assert second.poll() is None
    (tmp_path / "go").touch()  # the orphan ends, and with it the lock
    rest = second.stdout.read()
    assert second.wait() == 0
    assert "its part done before" in rest
    assert "installed" in rest
    assert [i.directory.name for i in list_installed()] == [HOME]


def test_of_two_installers_at_once_one_builds_and_both_end_with_the_same_environment(
    toy_installer: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    outputs = [p.communicate()[0] for p in (toy_installer(), toy_installer())]
    assert sum("its part" in output for output in outputs) == 1
    assert sum("waiting" in output for output in outputs) == 1
    ends = [line.split()[1] for output in outputs for line in output.splitlines() if line.startswith("installed")]
    assert len(ends) == 2
    assert len(set(ends)) == 1


@pytest.mark.parametrize("engine", PINNED)
def test_the_real_engine_imports_in_its_environment_and_the_doctor_has_nothing_to_say(
    engine: str, engine_python: Callable[[str], EnginePython]
) -> None:
    there = engine_python(engine)
    (row,) = doctor({engine: str(there.path)}, only=(engine,))
    assert row.imports is True, row.error
    assert (row.error, row.version) == (None, PINNED[engine])
    assert row.torch


@pytest.mark.parametrize("engine", PINNED)
def test_the_real_engines_version_is_the_pinned_one(engine: str, engine_python: Callable[[str], EnginePython]) -> None:
    assert engine_python(engine).version == PINNED[engine]


def test_sglang_on_a_cpu_runs_on_our_platform(engine_python: Callable[[str], EnginePython], on_gpu: bool) -> None:
    if on_gpu:
        pytest.skip("needs a machine without a GPU: SGLang then runs on CUDA")
    code = (
        "from sglang.srt.platforms import current_platform as p;"
        "print(type(p).__name__, p.get_default_attention_backend(), p.supports_speculative_algorithm('NGRAM'))"
    )
    asked = subprocess.run(
        [engine_python("sglang").path, "-c", code], capture_output=True, text=True, check=True, timeout=100
    )
    assert asked.stdout.split() == ["PlainCpuPlatform", "torch_native", "False"]
