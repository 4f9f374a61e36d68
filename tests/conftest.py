"""Fixtures every kind of test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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
