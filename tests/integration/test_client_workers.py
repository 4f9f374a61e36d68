"""The client in several processes: the same rows, and none lost."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.integration.client_kit import BODY, KEY, LIMITS
from tts_compare.client import Workers, open_client, send, watch
from tts_compare.domain import Endpoint, RequestRecord, RowKey
from tts_compare.selftest import embedded_server

PATH = "/chat/completions"


def children() -> list[psutil.Process]:
    """The worker processes of this process."""
    own = psutil.Process(os.getpid()).children(recursive=True)
    return [child for child in own if "tts_compare.client.worker" in " ".join(child.cmdline())]


async def over(workers: Workers, number: int) -> tuple[RequestRecord, ...]:
    """One attempt over the workers."""
    key = RowKey(setting="s", method="m", budget=0, load="c1", problem=str(number))
    return await workers.send(path=PATH, body={**BODY, "n": 2}, key=key, phase="measured", limits=LIMITS)


def test_workers_give_the_rows_one_process_gives_in_the_order_asked() -> None:
    async def main() -> None:
        async with embedded_server(("--token-rate", "400")) as url:
            endpoint = Endpoint(base_url=url, model="selftest")
            async with Workers(2, endpoint) as workers:
                pids = {child.pid for child in children()}
                made = await asyncio.gather(*(over(workers, i) for i in range(20)))
                async with watch() as probe:
                    figures = await workers.figures()
                audit = probe.audit([row for rows in made for row in rows], others=figures)
            async with open_client(endpoint) as client:
                alone = await send(client, path=PATH, body={**BODY, "n": 2}, key=KEY, phase="measured")
        assert len(pids) == 2
        assert audit.workers == 2
        assert all(len(one.lags_ms) > 0 for one in figures)
        assert [row.problem for rows in made for row in rows] == [str(i) for i in range(20) for _ in range(2)]
        for rows in made:
            assert [(row.sample, row.text, row.timeline.tokens, row.ok) for row in rows] == [
                (row.sample, row.text, row.timeline.tokens, True) for row in alone
            ]

    asyncio.run(main())
    assert children() == []


def test_a_module_of_the_directory_we_were_started_in_ends_no_worker_and_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "select.py").write_text("raise SystemExit('stray')")
    monkeypatch.chdir(tmp_path)

    async def main() -> int:
        async with embedded_server() as url, Workers(1, Endpoint(base_url=url, model="selftest")):
            return len(children())

    assert asyncio.run(main()) == 1


def test_a_worker_that_dies_leaves_a_row_for_every_attempt_and_the_others_go_on() -> None:
    async def main() -> tuple[list[tuple[RequestRecord, ...]], tuple[RequestRecord, ...], tuple[RequestRecord, ...]]:
        async with (
            embedded_server(("--token-rate", "30")) as url,
            Workers(2, Endpoint(base_url=url, model="selftest")) as workers,
        ):
            tasks = [asyncio.create_task(over(workers, i)) for i in range(6)]
            await asyncio.sleep(0.2)
            children()[0].kill()
            made = await asyncio.gather(*tasks)
            after = await over(workers, 7)
            children()[0].kill()
            await asyncio.sleep(0.3)
            return made, after, await over(workers, 8)

    made, after, none_left = asyncio.run(main())
    errors = [row.error.kind if row.error else None for rows in made for row in rows]
    assert len(errors) == 12
    assert errors.count("cancelled") == 6
    assert errors.count(None) == 6
    assert all(row.ok for row in after)
    assert [row.error.kind if row.error else None for row in none_left] == ["cancelled", "cancelled"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_every_process_of_a_job_leaves_the_workers_to_their_parent(number: signal.Signals) -> None:
    async def main() -> tuple[RequestRecord, ...]:
        async with (
            embedded_server(("--token-rate", "100")) as url,
            Workers(1, Endpoint(base_url=url, model="selftest")) as workers,
        ):
            task = asyncio.create_task(over(workers, 1))
            await asyncio.sleep(0.1)
            children()[0].send_signal(number)
            return await task

    assert all(row.ok for row in asyncio.run(main()))


def test_a_cancelled_attempt_leaves_what_the_worker_had_received() -> None:
    kept: list[tuple[RequestRecord, ...]] = []

    async def main() -> None:
        async with (
            embedded_server(("--token-rate", "50")) as url,
            Workers(1, Endpoint(base_url=url, model="selftest")) as workers,
        ):
            sending = workers.send(path=PATH, body=BODY, key=KEY, phase="measured", on_cancel=kept.append)
            task = asyncio.create_task(sending)
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    ((row,),) = kept
    assert row.error is not None
    assert row.error.kind == "cancelled"
    assert row.text


def test_the_key_is_in_no_workers_command_line_or_environment() -> None:
    def shown(child: psutil.Process) -> str:
        return " ".join(child.cmdline()) + str(child.environ())

    async def main() -> list[str]:
        async with Workers(1, Endpoint(base_url="http://127.0.0.1:9/v1", model="m", api_key="planted-key-1234")):
            return [shown(child) for child in children()]

    seen = asyncio.run(main())
    assert len(seen) == 1
    assert "planted-key-1234" not in seen[0]
