"""A run through a proxy that holds streams back says so on every row; the same run without it says nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.relay import buffering, relay
from tests.integration.running import rows_of
from tests.integration.test_hosted import argv, endpoint
from tts_compare.cli import main

#: 64 tokens of 20 ms each: no stall of a busy machine holds half of them back.
SLOW = ("--token-rate", "50", "--first-token-s", "0.05")
LONG = ("--budget=64", "--problems=3", "--quiet", "--concurrency=3", "--price=1/2")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with endpoint(tmp_path_factory.mktemp("slow") / "server", *SLOW, key=None) as url:
        yield url


@pytest.mark.parametrize("hold_bytes", [0, 4096], ids=["to the end", "4 KB at a time"])
def test_every_answer_behind_a_buffering_proxy_is_marked(slow: str, hold_bytes: int, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with buffering(slow, hold_bytes) as url:
        assert main(argv(f"{url}/v1", run, *LONG)) == 0
    rows = [row for row in rows_of(run) if row.phase == "measured"]
    assert len(rows) == 3
    assert all(row.ok and "stream_buffered" in row.doubts for row in rows)
    points = json.loads((run / "points.json").read_text())
    assert all("stream_buffered" in point["doubts"] for point in points)


def test_the_same_answers_through_a_proxy_that_passes_them_on_are_not(slow: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with relay(slow) as (_, url):
        assert main(argv(f"{url}/v1", run, *LONG)) == 0
    rows = [row for row in rows_of(run) if row.phase == "measured"]
    assert [row.doubts for row in rows] == [()] * 3
