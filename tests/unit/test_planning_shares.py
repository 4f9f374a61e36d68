"""Each measured point stands beside the bound of its own setting, load and speculation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.test_planning import MANIFEST, R1, earlier
from tests.unit.test_planning import POINT as MEASURED
from tts_compare.machine.catalogue import Accelerator, catalogue
from tts_compare.models.known import known_shapes
from tts_compare.plan.bound_shares import shares, step_of
from tts_compare.plan.earlier import points_in
from tts_compare.rundir.manifest import manifest_of

SHAPES = known_shapes()
SHAPE = SHAPES[R1 + "7B"]
H100 = catalogue()["H100-SXM"]
POINT = earlier(setting="s", tokens=4000.0, prompt_tokens=100.0, token_s=0.008, ttft_s=0.02)


def test_a_points_share_is_its_bound_over_its_time_per_token() -> None:
    (found,) = shares([POINT], SHAPES, {"s": H100})
    kv = SHAPE.kv_bytes(100 + 2000)
    bound = (2 * (7615616512 - 152064 * 3584) + kv) / 3.35e12
    assert found.decode.bound_s == pytest.approx(bound)
    assert found.decode.share == pytest.approx(bound / 0.008)
    assert found.decode.tokens_s_device == pytest.approx(1 / 0.008)
    assert found.binding == "weights"
    assert found.prefill is not None
    assert 0 < found.prefill < 1
    assert found.warning is None
    assert found.overhead is None, "one bound tells no overhead"


def test_ranks_divide_the_rate_and_their_points_together_tell_the_overhead() -> None:
    bounds = {}
    points = []
    for tp in (1, 2, 4):
        point = replace(POINT, setting=f"tp{tp}", tensor_parallel=tp)
        step = step_of(point, SHAPE, H100)
        assert step is not None
        bounds[tp] = step.seconds
        points.append(replace(point, token_s=1.2 * step.seconds + 0.004))
    found = list(shares(points, SHAPES, {f"tp{tp}": H100 for tp in (1, 2, 4)}))
    assert [one.decode.bound_s for one in found] == pytest.approx(list(bounds.values()))
    assert found[2].decode.tokens_s_device == pytest.approx(1 / points[2].token_s / 4 if points[2].token_s else 0)
    overhead = found[0].overhead
    assert overhead is not None
    assert overhead.fixed_s == pytest.approx(0.004)
    assert overhead.slowdown == pytest.approx(1.2)
    assert all(one.overhead == overhead for one in found)


def test_a_closed_loops_sequences_and_a_votes_samples_make_the_batch() -> None:
    alone, eight = step_of(POINT, SHAPE, H100), step_of(replace(POINT, load="c8"), SHAPE, H100)
    vote = step_of(replace(POINT, load="c2", samples=4, tokens=16_000.0), SHAPE, H100)
    assert alone is not None
    assert eight is not None
    assert vote is not None
    assert eight.kv_s == pytest.approx(8 * alone.kv_s)
    assert vote.kv_s == pytest.approx(eight.kv_s), "two votes of four samples of 4,000 tokens each"


def test_a_vote_of_fewer_samples_was_measured_at_the_batch_of_all_of_them() -> None:
    whole = step_of(replace(POINT, samples=4, side_by_side=4, tokens=16_000.0), SHAPE, H100)
    part = step_of(replace(POINT, samples=1, side_by_side=4, tokens=4_000.0), SHAPE, H100)
    assert whole == part
    asked = {"method": "vote", "budget": 16384, "load": "c1", "samples": 4, "sampling": {}}
    work = {**asked, "options": [["requests", "separate"]]}
    run = manifest_of({**MANIFEST, "experiment": {"work": [work]}})
    (read,) = points_in(run, [MEASURED | {"method": "vote", "samples": 2}])
    assert (read.samples, read.side_by_side, read.prompt_tokens) == (2, 4, 75.0)
    one = manifest_of({**MANIFEST, "experiment": {"work": [{**asked, "options": [["requests", "one"]]}]}})
    (read,) = points_in(one, [MEASURED | {"method": "vote", "samples": 2}])
    assert read.prompt_tokens == 150.0, "choices of one request share its prompt"


def test_speculation_is_in_no_fit_of_the_overhead() -> None:
    many, one = replace(POINT, load="c64", setting="many"), POINT
    drafted = replace(POINT, draft_tokens=5, accepted_length=2.0, token_s=1.0, setting="drafted")
    devices = {"s": H100, "many": H100, "drafted": H100}
    with_it = list(shares([one, many, drafted], SHAPES, devices))
    without = list(shares([one, many], SHAPES, devices))
    assert with_it[0].overhead is not None
    assert with_it[0].overhead == without[0].overhead == with_it[2].overhead


def test_speculation_without_a_measured_acceptance_and_open_loops_have_no_share() -> None:
    drafted = replace(POINT, speculation="ngram", draft_tokens=5)
    assert list(shares([drafted, replace(POINT, load="r2")], SHAPES, {"s": H100})) == []
    known = replace(drafted, accepted_length=2.0)
    (found,) = shares([known], SHAPES, {"s": H100})
    plain = step_of(POINT, SHAPE, H100)
    assert plain is not None
    assert found.decode.bound_s == pytest.approx(plain.seconds / 2)


def test_a_point_of_a_model_or_device_that_nobody_knows_has_no_share() -> None:
    assert list(shares([POINT], {}, {"s": H100})) == []
    assert list(shares([POINT], SHAPES, {})) == []
    assert list(shares([replace(POINT, token_s=None)], SHAPES, {"s": H100})) == []


def test_a_point_that_beats_its_bound_carries_a_warning() -> None:
    (found,) = shares([replace(POINT, token_s=0.001)], SHAPES, {"s": H100})
    assert found.decode.share > 1
    assert found.warning is not None
    assert found.warning.setting == "s"


GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.mark.parametrize(("run", "count"), [("quickstart", 7), ("votes", 6)])
def test_points_of_real_runs_have_a_share_below_one_at_the_bandwidth_of_their_machine(run: str, count: int) -> None:
    manifest = manifest_of(json.loads((GOLDEN / run / "manifest.json").read_text()))
    points = points_in(manifest, json.loads((GOLDEN / run / "points.json").read_text()))
    smol = SHAPES["HuggingFaceTB/SmolLM2-135M-Instruct"]
    cpu = Accelerator(name="CPU", memory_bytes=24e9, bandwidth_bytes_s=16.5e9)
    found = list(shares(points, {p.model: smol for p in points}, {p.setting: cpu for p in points}))
    assert len(found) == count, "all but n-gram's derived points, of which no acceptance was measured"
    for one in found:
        assert 0.1 < one.decode.share < 1
        assert one.binding == "weights"
        assert one.prefill is not None
        assert 0 < one.prefill < 1
        assert one.overhead is None, "one TP and one batch"
