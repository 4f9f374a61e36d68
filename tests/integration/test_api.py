"""Runs that are measured from Python, against stand-ins for engines."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import tts_compare as ttc
from tests.integration.running import Bench, bench, engines_of, rows_of
from tts_compare.analysis import analyse as analysis
from tts_compare.cli import main
from tts_compare.domain.events import AnswerBegun, Event, RequestEnded, RequestSent
from tts_compare.grading.pool import GraderPool
from tts_compare.rundir import store


def experiment(table: Bench, **keys: Any) -> ttc.Experiment:
    """Six easy problems on stand-ins for vLLM, but for what the keys say."""
    asked: dict[str, Any] = {"backend": "vllm", "model": table.model, "dataset": "quickstart", "problems": 6}
    asked |= {"budget": 24, "engine_python": {"vllm": str(table.vllm), "sglang": str(table.sglang)}}
    return ttc.Experiment(**asked | keys)


def test_a_run_measured_beside_an_event_loop_is_the_run_that_is_in_its_files(tmp_path: Path) -> None:
    table, told = bench(tmp_path), list[Event]()
    made = experiment(table, spec=["none", "ngram"])

    async def notebook() -> ttc.Run:
        with pytest.raises(ttc.UsageError, match=r"await tts_compare\.arun"):
            ttc.run(made, tmp_path / "refused")
        return await ttc.arun(made, tmp_path / "run", tell=told.append)

    run = asyncio.run(notebook())
    assert run.outcome is not None
    assert run.outcome.done
    read = ttc.load(tmp_path / "run")
    assert run.points.equals(read.points)
    assert run.manifest.state == read.manifest.state == "done"
    assert run.manifest.command == (repr(made),)
    assert not (tmp_path / "refused").exists()
    sent = [event.request for event in told if isinstance(event, RequestSent)]
    assert len(sent) == len(set(sent)) == len(rows_of(tmp_path / "run"))
    for kind in (AnswerBegun, RequestEnded):
        assert sorted(event.request for event in told if isinstance(event, kind)) == sorted(sent)


def test_a_run_that_is_cancelled_is_written_down_and_goes_on_from_there(tmp_path: Path) -> None:
    table = bench(tmp_path, extra=("--token-rate", "20"))
    begun = threading.Event()

    def tell(event: Event) -> None:
        if isinstance(event, AnswerBegun):
            begun.set()

    async def notebook() -> None:
        running = asyncio.create_task(ttc.arun(experiment(table), tmp_path / "run", tell=tell))
        await asyncio.to_thread(begun.wait, 60)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(notebook())
    assert engines_of(tmp_path) == []
    assert store.read_manifest(store.open_run(tmp_path / "run")).state == "interrupted"
    again = ttc.Experiment.resuming(tmp_path / "run")
    assert again.checked.problems == 6
    run = ttc.run(again)
    assert run.paths == (tmp_path / "run",)
    assert run.points["n"].to_list() == [6]


def test_where_nothing_was_measured_the_error_says_why(tmp_path: Path) -> None:
    table = bench(tmp_path, extra=("--no-such-flag",))
    with pytest.raises(ttc.NothingMeasuredError, match="vllm/tiny") as failed:
        ttc.run(experiment(table), tmp_path / "run")
    assert failed.value.outcome.failed


def test_each_answer_is_graded_once_and_the_run_analysed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three starts with an answer cut at two budgets each, and the report at the end."""
    table, graded, called = bench(tmp_path), Counter[object](), Counter[str]()
    grade_many = GraderPool.grade_many

    def counting(self: Any, items: Iterable[Any], **how: Any) -> Any:
        def each() -> Iterable[Any]:
            for item in items:
                graded[item.response, item.gold] += 1
                yield item

        return grade_many(self, each(), **how)

    def counted(name: str) -> Any:
        plain = getattr(analysis, name)

        def call(*args: Any, **keys: Any) -> Any:
            called[name] += 1
            return plain(*args, **keys)

        return call

    monkeypatch.setattr(GraderPool, "grade_many", counting)
    for name in ("analyse", "points", "prepare"):
        monkeypatch.setattr(analysis, name, counted(name))
    flags = ("--backend=vllm", "--problems=4", "--budget=4,24", "--repeats=3", "--quiet")
    assert main(table.argv("run", *flags)) == 0
    assert "vllm" in capsys.readouterr().out
    rows = [row for row in rows_of(tmp_path / "run") if row.phase == "measured"]
    assert len(rows) == 12
    assert sum(graded.values()) == 2 * len(rows)
    assert called == {"analyse": 1, "prepare": 1}
