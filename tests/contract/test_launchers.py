"""What every launcher promises, over the dict."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.integration.launching import STUB, stub_plan, until
from tts_compare.errors import StartError
from tts_compare.launchers import LAUNCHERS, Launcher, ServerPlan, launcher_for
from tts_compare.launchers.ports import can_bind, free_port

every_launcher = pytest.mark.parametrize("launcher", LAUNCHERS.values(), ids=LAUNCHERS.keys())


@pytest.fixture
def running(launcher: Launcher, tmp_path: Path) -> Iterator[ServerPlan]:
    """A plan that the launcher can start: for ``attach``, of a stub that already runs."""
    if launcher.name == "local":
        yield stub_plan(tmp_path)
        return
    port = free_port()
    with subprocess.Popen([sys.executable, str(STUB), "--port", str(port)]) as stub:
        assert until(lambda: not can_bind(port))
        plan = stub_plan(tmp_path)
        yield replace(plan, argv=(), setting=replace(plan.setting, base_url=f"http://127.0.0.1:{port}"), port=port)
        assert stub.poll() is None, "a launcher that attaches leaves the server running"
        stub.kill()


def test_the_dict_names_each_launcher_as_it_names_itself() -> None:
    assert {key: launcher.name for key, launcher in LAUNCHERS.items()} == {key: key for key in LAUNCHERS}


@every_launcher
def test_a_started_server_answers_at_its_endpoint(launcher: Launcher, running: ServerPlan) -> None:
    async def use() -> None:
        server = await launcher.start(running)
        try:
            assert server.endpoint.model == "stub"
            assert server.endpoint.base_url == f"http://127.0.0.1:{running.port}/v1"
            async with httpx.AsyncClient(trust_env=False) as client:
                listed = (await client.get(f"{server.endpoint.base_url}/models")).json()
            assert listed["data"][0]["id"] == "stub"
            assert server.engine_version == "9.9.9"
            assert server.died() is None
        finally:
            await server.stop()
            await server.stop()
        assert server.died() is None

    asyncio.run(use())


@every_launcher
def test_a_model_that_is_not_served_is_a_start_error_that_names_both(launcher: Launcher, running: ServerPlan) -> None:
    other = replace(running, served_name="other", setting=replace(running.setting, model="other"))
    with pytest.raises(StartError, match=r"serves stub, not other"):
        asyncio.run(launcher.start(other))


@every_launcher
def test_the_launcher_is_chosen_by_the_plan(launcher: Launcher, running: ServerPlan) -> None:
    assert launcher_for(running) is launcher
