"""Points of a run stand beside what its machine could do, from the manifest alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from tests.unit.test_experiment_design import prepared
from tts_compare.judge.bounds import with_bounds
from tts_compare.judge.join import analyse_runs, joined_manifest, write_points
from tts_compare.machine import triad
from tts_compare.machine.catalogue import catalogue
from tts_compare.machine.triad import Bandwidth
from tts_compare.models.known import known_shapes
from tts_compare.plan import inputs as design_module
from tts_compare.plan.design import Design
from tts_compare.plan.hardware import devices_in, keep_hardware, shapes_in, that_fit
from tts_compare.plan.inputs import design_of
from tts_compare.plan.manifest import new_manifest
from tts_compare.rundir import store
from tts_compare.rundir.facts import AcceleratorFacts
from tts_compare.rundir.manifest import Manifest

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SMOL = known_shapes()["HuggingFaceTB/SmolLM2-135M-Instruct"]


def golden(home: Path, *, bandwidth: float | None) -> store.RunDir:
    """A copy of the quickstart's run on two CPU cores, as if its bandwidth had been measured when it began."""
    shutil.copytree(GOLDEN / "quickstart", home)
    run = store.open_run(home)
    manifest = store.read_manifest(run)
    device = AcceleratorFacts(name="CPU", memory_bytes=25e9, bandwidth_bytes_s=bandwidth) if bandwidth else None
    settings = {name: structs.replace(facts, accelerator=device) for name, facts in manifest.settings.items()}
    models = {name: structs.replace(row, shape=SMOL) for name, row in manifest.models.items()}
    store.write_manifest(run, structs.replace(manifest, settings=settings, models=models))
    return run


def test_the_quickstarts_points_show_the_bandwidth_they_used(tmp_path: Path) -> None:
    judged = analyse_runs([golden(tmp_path / "run", bandwidth=16.5e9)])
    rows = judged.analysis.points.filter(provenance="measured").to_dicts()
    told = [row for row in rows if row["bound_share"] is not None]
    assert len(told) == len(rows) == 3
    for row in told:
        assert row["bound_share"] == pytest.approx(row["bound_tpot_s"] / row["tpot_mean_s"])
        assert 0.1 < row["bound_share"] < 1
        assert 0 < row["prefill_bound_share"] < 1
        assert "above_the_bound" not in row["doubts"]
    plain = next(row for row in told if row["setting"] == "vllm/smollm2-135m-instruct/tp1-pp1-dp1/none")
    weights = 4 * SMOL.parameters  # float32, and the embedding is read as the output head
    assert weights / 16.5e9 < plain["bound_tpot_s"] < 1.1 * weights / 16.5e9


def test_of_a_cpu_that_nobody_measured_then_nothing_is_measured_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triad, "triad", pytest.fail)
    points = analyse_runs([golden(tmp_path / "run", bandwidth=None)]).analysis.points
    assert points["bound_share"].null_count() == points.height


def test_a_share_above_one_is_one_warning_a_setting_on_the_points_that_have_it(tmp_path: Path) -> None:
    run = golden(tmp_path / "run", bandwidth=1e9)
    analysis = analyse_runs([run]).analysis
    above = analysis.points.filter(analysis.points["bound_share"] > 1)
    warnings = [warning for warning in analysis.doubts if warning.code == "above_the_bound"]
    assert above.height > 3
    assert sorted(str(warning.setting) for warning in warnings) == sorted(above["setting"].unique())
    for row in analysis.points.to_dicts():
        assert ("above_the_bound" in row["doubts"]) is ((row["bound_share"] or 0) > 1)
    write_points(run, store.read_manifest(run))
    kept = json.loads(run.points.read_text())
    assert [row["doubts"] for row in kept] == analysis.points["doubts"].to_list()
    assert [row["bound_share"] for row in kept] == analysis.points["bound_share"].to_list()


def test_the_share_of_the_bound_is_an_axis_of_which_more_is_better(tmp_path: Path) -> None:
    analysis = analyse_runs([golden(tmp_path / "run", bandwidth=16.5e9)]).analysis
    points = analysis.points.filter(analysis.points["bound_share"].is_not_null())
    for row in points.to_dicts():
        assert row["compared_bound_share"] == pytest.approx(row["bound_share"])
        beaten = [
            other
            for other in points.to_dicts()
            if other["accuracy"] >= row["accuracy"]
            and other["bound_share"] >= row["bound_share"]
            and (other["accuracy"], other["bound_share"]) != (row["accuracy"], row["bound_share"])
        ]
        assert row["on_bound_frontier"] is (not beaten)
        assert 0 <= row["share_on_bound_frontier"] <= 1
    steps = analysis.frontiers.filter(axis="bound")
    assert steps["x"].to_list() == sorted(points.filter("on_bound_frontier")["compared_bound_share"])
    band = analysis.bands.filter(axis="bound")
    best = [points.filter(points["bound_share"] >= x)["accuracy"].max() for x in band["x"]]
    assert band["accuracy"].to_list() == pytest.approx(best)


def test_a_point_without_a_share_is_not_on_its_frontier(tmp_path: Path) -> None:
    points = analyse_runs([golden(tmp_path / "run", bandwidth=None)]).analysis.points
    assert points["on_bound_frontier"].null_count() == points["compared_bound_share"].null_count() == points.height


def test_the_share_of_the_bound_is_an_objective_of_at_least(tmp_path: Path) -> None:
    run = golden(tmp_path / "run", bandwidth=16.5e9)
    most = analyse_runs([run]).analysis.points["bound_share"].drop_nulls().to_numpy().max()
    for text, kept in ((f"bound_share={most - 1e-6:.7f}", True), (f"bound_share>={most + 1e-6:.7f}", False)):
        (choice,) = analyse_runs([run], slo=[text]).analysis.slo
        assert (choice.point is not None) is kept
        assert choice.objectives[0].at_most is False


def test_a_point_with_a_failed_answer_has_no_share(tmp_path: Path) -> None:
    run = golden(tmp_path / "run", bandwidth=16.5e9)
    analysis = analyse_runs([run]).analysis
    first = analysis.points.with_columns(failed=1)
    points, warnings = with_bounds(first, store.read_manifest(run))
    assert points["bound_share"].null_count() == points.height
    assert warnings == ()


def test_runs_put_together_keep_each_its_own_machine(tmp_path: Path) -> None:
    runs = [golden(tmp_path / "slow", bandwidth=10e9), golden(tmp_path / "fast", bandwidth=40e9)]
    points = analyse_runs(runs).analysis.points.filter(provenance="measured")
    bound = {row["setting"]: row["bound_tpot_s"] for row in points.to_dicts()}
    for setting, seconds in bound.items():
        if setting.startswith("slow:"):
            assert seconds == pytest.approx(4 * bound[setting.replace("slow:", "fast:")])


@pytest.fixture(autouse=True)
def bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test measures anything."""
    known = Bandwidth(bytes_s=1e10, threads=1, array_bytes=2**26)
    monkeypatch.setattr(design_module, "memory_bandwidth", lambda *_args, **_given: known)


def manifest_of(home: Path, **given: str) -> tuple[Manifest, Design]:
    """A manifest before its first server, and the design it was given its hardware by."""
    ready = prepared(home, **given)
    design = replace(design_of(ready, None), bandwidths={1: 12e9, 2: 20e9}, memory_bytes=8 * 10**9)
    manifest = new_manifest(ready, name="run", command=[], asked={})
    return keep_hardware(manifest, design), design


def test_what_a_manifest_keeps_is_what_a_report_computes_with(tmp_path: Path) -> None:
    manifest, design = manifest_of(tmp_path)
    again = msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest)
    assert shapes_in(again) == {name: shape for name, shape in design.shapes.items() if shape}
    for setting in design.settings:
        device = design.device_of(setting)
        assert device is not None
        assert devices_in(again)[setting.id] == device
    joined = joined_manifest([("a", again), ("b", again)])
    assert len(devices_in(joined)) == 2 * len(design.settings)


def test_gpus_of_an_older_manifest_are_recognised_by_what_the_driver_called_them(tmp_path: Path) -> None:
    manifest, _ = manifest_of(tmp_path)
    bare = {name: structs.replace(facts, accelerator=None) for name, facts in manifest.settings.items()}
    manifest = structs.replace(manifest, settings=bare)
    assert devices_in(manifest) == {}
    machine = structs.replace(
        manifest.machine, device="cuda", gpus=("NVIDIA H200",) * 2, gpu_memory_bytes=150_754_820_096
    )
    assert set(devices_in(structs.replace(manifest, machine=machine)).values()) == {catalogue()["H200"]}
    two_kinds = structs.replace(machine, gpus=("NVIDIA H200", "NVIDIA L4"))
    assert devices_in(structs.replace(manifest, machine=two_kinds)) == {}


def test_a_setting_that_exceeds_the_memory_is_skipped_with_the_figures(tmp_path: Path) -> None:
    ready = prepared(tmp_path, model="deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B")
    design = replace(design_of(ready, None), bandwidths={1: 12e9, 2: 20e9}, memory_bytes=20 * 10**9)
    assert that_fit(ready, design) == ready
    small = replace(design, memory_bytes=6 * 10**9)
    left = that_fit(ready, small)
    assert left.settings == ()
    assert [item.setting for item in left.left_out] == list(ready.settings)
    assert all("weights take" in item.reason for item in left.left_out)


def test_an_unknown_gpus_memory_is_enough_to_refuse_what_cannot_start(tmp_path: Path) -> None:
    """The weights of 7B take 15.2 GB: they fit into 24 GB by themselves, and not with 100,000 tokens of KV cache."""
    ready = prepared(tmp_path, model="deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", dtype="bfloat16")
    on_gpu = replace(ready.settings[0], device="cuda", max_model_len=131_072)
    machine = replace(ready.machine, device="cuda", devices=1, gpu_names=("Some GPU",), gpu_memory_bytes=24 * 10**9)
    ready = replace(ready, settings=(on_gpu,), machine=machine)
    design = replace(design_of(ready, None), machine=None)
    (skipped,) = that_fit(ready, design).left_out
    assert "fewer than one sequence of 131,072" in skipped.reason
    short = replace(on_gpu, max_model_len=17_000)
    ready = replace(ready, settings=(short,))
    assert that_fit(ready, replace(design, settings=(short,))).left_out == ()
