"""The few figures that telemetry needs of an engine's ``/metrics``. Pure.

A whole scrape is some 500 lines of histograms: parsing them all once a second would cost several times as much as all
else a sample is made of, so only lines that begin with a wanted name are read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tts_compare.rundir.telemetry import EngineSample

#: The gauge of which the largest counts; of the others the sum over an engine's ranks.
_LARGEST = "kv_cache_share"


def engine_sample(text: str, names: Mapping[str, str]) -> EngineSample:
    """The gauges of a Prometheus text. names: field of ``EngineSample`` -> name of the sample."""
    found = {field: values_of(text, name) for field, name in names.items()}
    return EngineSample(
        **{field: max(values) if field == _LARGEST else sum(values) for field, values in found.items() if values}
    )


def values_of(text: str, name: str) -> list[float]:
    """The finite values of a sample, one for each set of labels."""
    found = []
    for line in text.splitlines():
        if line.startswith(name) and line[len(name) : len(name) + 1] in ("{", " "):
            value = _number(line[line.rfind("}") + 1 :] if "}" in line else line[len(name) :])
            if value is not None:
                found.append(value)
    return found


def _number(text: str) -> float | None:
    """The value, which a timestamp may follow."""
    try:
        value = float(text.split(maxsplit=1)[0])
    except (IndexError, ValueError):
        return None
    return value if math.isfinite(value) else None
