"""What a run holds in memory of the requests it has made."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from tests import builders
from tts_compare.domain import RequestRecord, Timeline
from tts_compare.measure.writer import RunWriter, light
from tts_compare.methods import METHODS
from tts_compare.rundir import store
from tts_compare.rundir.manifest import Manifest

TOKENS = 2_000
ROWS = 200


def row(number: int, *, method: str = "truncate") -> RequestRecord:
    """A row as it comes from the client: nothing in it is shared with another."""
    at = 10**15 + number
    made = builders.record(
        setting="vllm/model/tp1-pp1-dp1/none", method=method, budget=TOKENS, load="c200", problem=f"test/{number}.json",
        request_id=f"{number:032x}",
        scheduled_ns=at, connect_ns=at, sent_ns=at, first_byte_ns=at, first_token_ns=at, last_token_ns=at, end_ns=at,
        prompt_tokens=500, completion_tokens=TOKENS, tokens_source="usage", finish_reason="length",
        text="word " * TOKENS, reasoning="so " * TOKENS, token_ids=tuple(range(5000, 5000 + TOKENS)),
        timeline=Timeline(us=tuple(range(1000, 1000 + TOKENS)), tokens=(1,) * TOKENS, chars=(5,) * TOKENS),
        server={"queue_time_ms": 1.5, "generation_time_ms": 480.0},
    )  # fmt: skip
    return msgspec.json.decode(msgspec.json.encode(made), type=RequestRecord)


def test_a_run_holds_about_a_kilobyte_a_request(tmp_path: Path) -> None:
    run = store.create(tmp_path / "run")
    with store.RowLog(run.records) as rows:
        writer = RunWriter(run, Manifest(), rows, lambda _: None)
        writer.append((row(0),))
        tracemalloc.start()
        try:
            for number in range(1, ROWS + 1):
                writer.append((row(number),))
            gc.collect()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(writer.records) == ROWS + 1
    assert held / ROWS < 1_500


@pytest.mark.parametrize("name", METHODS)
def test_a_text_is_held_only_where_later_calls_depend_on_it(name: str) -> None:
    whole = row(1, method=name)
    held = light(whole)
    assert held.timeline == Timeline()
    kept = (held.text, held.reasoning, held.token_ids)
    assert kept == ((whole.text, whole.reasoning, whole.token_ids) if name == "force" else ("", "", None))
    assert held.key == whole.key
