"""What servers' counters say of a point, and which rows they have to cover for it."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from tests.synthetic import Run, World, make_run
from tts_compare.analysis.analyse import points

PLAIN = "vllm/tiny/tp1-pp1-dp1/none"


def energy(run: Run, attempts: int) -> float | None:
    row = {"method": "truncate", "budget": 1024, "load": "c1", "repeat": 0, "phase": "measured"}
    counted = {PLAIN: [row | {"attempts": attempts, "energy_j": 500.0}]}
    found = points(run.records, run.grades, run.manifest | {"server_metrics": counted}, resamples=50)[
        "joules_per_token"
    ].item()
    return None if found is None else float(found)


def test_requests_that_were_never_sent_are_not_missed_by_the_energy_counter() -> None:
    run = make_run(World(problems=20))
    first = pl.int_range(pl.len()) < 5
    kinds = {"error_kind": "server_died", "finish_reason": None, "sent_ns": None, "completion_tokens": None}
    schema = run.records.schema
    lost = [pl.when(first).then(pl.lit(v, schema[n])).otherwise(pl.col(n)).alias(n) for n, v in kinds.items()]
    unsent = replace(run, records=run.records.with_columns(lost), grades=run.grades.filter(pl.col("problem") > "p0004"))
    tokens = int(unsent.records["completion_tokens"].sum())
    assert energy(unsent, 15) == pytest.approx(500.0 / tokens)
    assert energy(unsent, 14) is None
