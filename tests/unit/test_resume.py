"""A run that is taken up: what is carried over, and what has changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tests.standin import model_directory
from tests.unit.test_store import record
from tts_compare.config import load_experiment
from tts_compare.domain import Setting
from tts_compare.errors import UsageError
from tts_compare.measure.execute import machine_warnings, take_up
from tts_compare.measure.servers import change_warnings
from tts_compare.plan.manifest import new_manifest
from tts_compare.plan.prepare import prepare
from tts_compare.rundir import store
from tts_compare.rundir.manifest import Manifest

Make = Callable[..., Manifest]


@pytest.fixture
def manifest(tmp_path: Path) -> Make:
    def make(**given: Any) -> Manifest:
        stated = {"backend": "vllm", "model": str(model_directory(tmp_path)), "dataset": "quickstart", "budget": "8"}
        prepared = prepare(load_experiment(None, stated | given, environ={}), fetch=False)
        return new_manifest(prepared, name="run", command=[], asked={})

    return make


def test_a_model_that_is_not_run_again_is_still_known(manifest: Make, tmp_path: Path) -> None:
    other = model_directory(tmp_path / "other").rename(tmp_path / "larger")
    old, new = manifest(), manifest(model=str(other))
    resumed = take_up(new, old)
    assert {facts.model for facts in resumed.settings.values()} == set(resumed.models)
    assert len(resumed.models) == 2


def test_what_needs_a_longer_context_is_another_server(manifest: Make) -> None:
    take_up(manifest(budget="4,8"), manifest())
    with pytest.raises(UsageError, match="max_model_len of vllm"):
        take_up(manifest(budget="16"), manifest())
    take_up(manifest(budget="16", max_model_len="1k"), manifest(max_model_len="1k"))


def test_what_a_method_asks_with_stays_and_how_it_chooses_may_change(manifest: Make) -> None:
    def best_of(**options: Any) -> Manifest:
        stated = {"scores": "http://localhost:1", "temperature": 0.5, **options}
        return manifest(method="best_of_n", samples=2, method_options={"best_of_n": stated})

    take_up(best_of(scores="http://localhost:2", weighted=True), best_of())
    for changed in ({"temperature": 0.6}, {"requests": "one"}):
        with pytest.raises(UsageError, match="what best_of_n asks with changed"):
            take_up(best_of(**changed), best_of())


def test_rows_of_two_machines_are_a_warning(manifest: Make) -> None:
    machine = manifest().machine
    assert machine_warnings(machine, machine) == ()
    (warning,) = machine_warnings(structs.replace(machine, gpus=("A",), memory_bytes=1), machine)
    assert warning.code == "machine_changed"
    assert "memory_bytes, gpus" in warning.message


def test_requests_answered_by_two_versions_of_an_engine_are_a_warning() -> None:
    setting = Setting(backend="vllm", model="m")
    assert change_warnings(setting, None, "0.32.0") == change_warnings(setting, "0.32.0", "0.32.0") == ()
    (warning,) = change_warnings(setting, "0.32.0", "0.33.0")
    assert (warning.code, warning.setting) == ("version_changed", setting.id)
    assert "0.32.0 and later ones by 0.33.0" in warning.message


def test_a_run_that_a_key_comes_to_is_closed_to_others(tmp_path: Path) -> None:
    run = store.create(tmp_path / "run")
    with store.RowLog(run.records) as log:
        log.append([record()])
    store.close_to_others(run)
    assert run.private
    assert run.path.stat().st_mode & 0o777 == 0o700
    assert run.records.stat().st_mode & 0o777 == 0o600
