"""What every launcher promises, over LAUNCHERS: a new one is tested by being listed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import tts_compare
from tests.integration.launching import STUB, all_gone, until
from tts_compare.domain import Setting
from tts_compare.errors import StartError
from tts_compare.launchers import LAUNCHERS, Launcher, Place, launcher_for
from tts_compare.launchers.ports import can_bind, free_port

every_launcher = pytest.mark.parametrize("launcher", LAUNCHERS.values(), ids=LAUNCHERS.keys())

# In the place of an engine's Python: runs the stub engine where the command line says.
INTERPRETER = """#!{python}
import os, sys
said = dict(zip(sys.argv, sys.argv[1:]))
os.execv(sys.executable, [sys.executable, {stub!r}, "--port", said["--port"], "--model", said["--served-model-name"]])
"""


@pytest.fixture(autouse=True)
def where_it_works(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's launcher works inside an allocation."""
    if "launcher" in request.fixturenames and request.getfixturevalue("launcher").name == "slurm":
        for name, value in request.getfixturevalue("allocation").items():
            monkeypatch.setenv(name, value)


@pytest.fixture
def running(launcher: Launcher, tmp_path: Path) -> Iterator[tuple[Setting, Place]]:
    """A setting that the launcher can start, and where: for ``attach``, of a stub that already runs."""
    python = tmp_path / "python"
    python.write_text(INTERPRETER.format(python=sys.executable, stub=str(STUB)))
    python.chmod(0o755)
    setting = Setting(backend="vllm", model="stub", max_model_len=2048)
    place = Place(log_path=tmp_path / "servers" / "stub.log", python=str(python), deadline_s=60)
    if launcher.name != "attach":
        yield setting, replace(place, machine=launcher.machine("cpu"))
        return
    port = free_port()
    with subprocess.Popen([sys.executable, str(STUB), "--port", str(port)]) as stub:
        assert until(lambda: not can_bind(port))
        yield replace(setting, base_url=f"http://127.0.0.1:{port}"), place
        assert stub.poll() is None, "a launcher that attaches leaves the server running"
        stub.kill()


def test_the_mapping_names_each_launcher_as_it_names_itself() -> None:
    assert {key: launcher.name for key, launcher in LAUNCHERS.items()} == {key: key for key in LAUNCHERS}


@every_launcher
def test_a_machine_has_devices_and_lanes_for_what_is_asked_of_it(launcher: Launcher) -> None:
    machine = launcher.machine("cpu")
    assert machine.device == "cpu"
    assert machine.devices >= 1
    setting = Setting(backend="vllm", model="m")
    assert [launcher.lanes((setting,), machine, asked=asked) for asked in (1, 3)] == [1, 3]


@every_launcher
def test_a_started_server_answers_at_its_endpoint_and_is_gone_once_stopped(
    launcher: Launcher, running: tuple[Setting, Place]
) -> None:
    setting, place = running

    async def use() -> None:
        server = await launcher.start(setting, place)
        processes = server.processes()
        try:
            assert server.endpoint.model == "stub"
            async with httpx.AsyncClient(trust_env=False) as client:
                headers = {"Authorization": f"Bearer {server.endpoint.api_key}"}
                listed = (await client.get(f"{server.endpoint.base_url}/models", headers=headers)).json()
            assert listed["data"][0]["id"] == "stub"
            assert server.engine_version == "9.9.9"
            assert server.died() is None
            ours = server.pid is not None
            assert bool(processes) is bool(server.argv) is bool(server.logs) is ours
            assert (server.startup_s is not None) is ours
            assert all(log.is_file() for log in server.logs)
            assert server.energy().keys() == server.energy().keys()
        finally:
            await server.stop()
            await server.stop()
        assert server.died() is None
        assert all_gone(processes)

    asyncio.run(use())


@every_launcher
def test_a_model_that_is_not_served_is_a_start_error_that_names_both(
    launcher: Launcher, running: tuple[Setting, Place], tmp_path: Path
) -> None:
    setting, place = running
    if launcher.name != "attach":
        python = Path(place.python)
        python.write_text(python.read_text().replace('said["--served-model-name"]', '"stub"'))
    with pytest.raises(StartError, match=r"serves stub, not other"):
        asyncio.run(launcher.start(replace(setting, model="other"), place))


@every_launcher
def test_the_launcher_is_chosen_by_its_name_and_the_setting(launcher: Launcher, running: tuple[Setting, Place]) -> None:
    assert launcher_for(running[0], launcher.name) is launcher


def test_nothing_but_launchers_and_the_machine_knows_the_loopback_or_how_gpus_are_shown() -> None:
    root = Path(tts_compare.__file__).parent
    sources = [path for path in root.rglob("*.py") if "launchers" not in path.parts and path.name != "gpus.py"]
    telling = [path for path in sources if "LOOPBACK" in (text := path.read_text()) or "CUDA_VISIBLE" in text]
    assert len(sources) > 100
    assert telling == []
