"""Fixtures every kind of test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import nvml

# A loaded machine is no defect: no example has a deadline, and slow generation is no failure.
settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loaded")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The directory of data sets that are not part of the repository; the test skips where it is not there."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("TTS_COMPARE_SHARED_DATA", default))
    if not path.is_dir():
        pytest.skip(f"needs the data directory {path} (set TTS_COMPARE_SHARED_DATA)")
    return path


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our ``libnvidia-ml.so.1``; the test skips where there is no C compiler to build it."""
    if nvml.compiler() is None:
        pytest.skip("needs a C compiler (cc, gcc or clang) to build the stand-in for NVIDIA's library")
    return nvml.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(nvml_library: Path, tmp_path: Path) -> nvml.Driver:
    """A driver of two H100s, until it is told otherwise."""
    made = nvml.Driver(library=nvml_library, file=tmp_path / "driver.txt")
    return made.says(nvml.machine(nvml.gpu(0), nvml.gpu(1)))
