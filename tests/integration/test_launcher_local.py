"""The local launcher against a small program: it starts it, tells why it failed, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.integration.launching import STUB, alive, all_gone, stub_plan, until, with_marker
from tts_compare.backends import BACKENDS
from tts_compare.errors import StartError
from tts_compare.launchers import ServerPlan
from tts_compare.launchers.local import LocalLauncher, LocalServer

LOCAL = LocalLauncher()


@pytest.fixture
def marker() -> Iterator[str]:
    """Marks every process a test starts through its environment, and fails the test if one outlives it."""
    mark = uuid.uuid4().hex
    yield mark
    left = with_marker(mark)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def start(plan: ServerPlan) -> LocalServer:
    server = asyncio.run(LOCAL.run(plan))
    assert isinstance(server, LocalServer)
    return server


def marked(plan: ServerPlan, marker: str) -> ServerPlan:
    return replace(plan, env=plan.env | {"TTS_TEST_MARKER": marker})


def test_the_output_goes_to_the_plans_log_which_is_ours_alone(tmp_path: Path, marker: str) -> None:
    plan = marked(stub_plan(tmp_path), marker)
    server = start(plan)
    try:
        assert "stub engine starts" in plan.log_path.read_text()
        assert stat.S_IMODE(plan.log_path.stat().st_mode) == 0o600
        assert server.startup_s is not None
        assert server.pid in with_marker(marker)
    finally:
        asyncio.run(server.stop())


def test_an_engine_finds_the_programs_beside_its_python(tmp_path: Path, marker: str) -> None:
    python, ninja = tmp_path / "bin" / "python", tmp_path / "bin" / "ninja"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    ninja.touch(mode=0o755)
    plan = marked(stub_plan(tmp_path), marker)
    server = start(replace(plan, argv=(str(python), *plan.argv[1:])))
    try:
        environ = Path(f"/proc/{server.pid}/environ").read_text().split("\0")
        path = next(line.removeprefix("PATH=") for line in environ if line.startswith("PATH="))
        assert shutil.which("ninja", path=path) == str(ninja)
        assert path.endswith(os.environ["PATH"])
    finally:
        asyncio.run(server.stop())


def test_an_environment_of_ours_takes_no_packages_from_elsewhere(
    tmp_path: Path, marker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "http.py").write_text("raise ImportError('a package of the user')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    plan = marked(stub_plan(tmp_path), marker)
    with pytest.raises(StartError, match="a package of the user"):
        start(plan)
    server = start(marked(stub_plan(tmp_path, own_packages=True), marker))
    asyncio.run(server.stop())


def test_a_server_starts_beside_a_thousand_open_connections(tmp_path: Path, marker: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2048)), hard))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        files = [stack.enter_context(Path("/dev/null").open()) for _ in range(1100)]
        assert files[-1].fileno() > 1024, "more than select() can watch"
        server = start(marked(stub_plan(tmp_path), marker))
        asyncio.run(server.stop())


def test_early_death_is_told_by_its_cause_not_by_the_last_line(tmp_path: Path, marker: str) -> None:
    plan = marked(stub_plan(tmp_path, "--die", "ValueError: the weights are upside down"), marker)
    with pytest.raises(StartError) as caught:
        start(plan)
    assert caught.value.cause == "ValueError: the weights are upside down (ended with exit status 1)"
    assert caught.value.log == str(plan.log_path)


def test_a_program_that_is_not_there_is_a_start_error(tmp_path: Path, marker: str) -> None:
    plan = replace(marked(stub_plan(tmp_path), marker), argv=("/no/such/python", "-m", "x"))
    with pytest.raises(StartError, match=r"/no/such/python: No such file"):
        start(plan)


def test_not_ready_in_time_is_a_start_error_and_nothing_is_left(tmp_path: Path, marker: str) -> None:
    plan = replace(marked(stub_plan(tmp_path, "--load-s", "600"), marker), deadline_s=1.0)
    with pytest.raises(StartError, match=r"not ready after 1 s; its log says: stub engine starts") as caught:
        start(plan)
    assert "start_s" in caught.value.advice


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path, marker: str) -> None:
    plan = marked(stub_plan(tmp_path), marker)
    with socket.create_server(("127.0.0.1", plan.port)), pytest.raises(StartError, match=r"taken by another program"):
        start(plan)
    assert not plan.log_path.exists()


def test_a_stranger_who_takes_the_port_while_it_loads_is_not_taken_for_it(tmp_path: Path, marker: str) -> None:
    plan = marked(stub_plan(tmp_path, "--load-s", "600"), marker)
    strangers: list[subprocess.Popen[bytes]] = []

    def take_port() -> None:
        assert until(lambda: len(with_marker(marker)) >= 2)
        strangers.append(subprocess.Popen([sys.executable, str(STUB), "--port", str(plan.port)]))

    thread = threading.Thread(target=take_port)
    thread.start()
    try:
        with pytest.raises(StartError, match=r"was taken by another program while the server was loading"):
            start(plan)
    finally:
        thread.join()
        for stranger in strangers:
            stranger.kill()
            stranger.wait()


def test_stop_ends_a_server_that_ignores_sigterm_and_children_that_ignore_everything(
    tmp_path: Path, marker: str
) -> None:
    pids = tmp_path / "pids"
    server = start(marked(stub_plan(tmp_path, "--ignore-sigterm", "--children", str(pids)), marker))
    children = [int(pid) for pid in pids.read_text().split()]
    assert all(alive(pid) for pid in children)
    asyncio.run(server.stop())
    assert not any(alive(pid) for pid in (*children, server.pid or 0))


def test_stop_with_a_stream_in_flight_ends_the_stream(tmp_path: Path, marker: str) -> None:
    async def use() -> None:
        plan = marked(stub_plan(tmp_path, "--ignore-sigterm"), marker)
        server = await LOCAL.run(plan)
        async with (
            httpx.AsyncClient(trust_env=False) as client,
            client.stream("GET", f"http://127.0.0.1:{plan.port}/stream") as response,
        ):
            chunks = response.aiter_raw()
            await anext(chunks)
            await server.stop()
            with contextlib.suppress(httpx.HTTPError):
                async for _ in chunks:
                    pass

    asyncio.run(asyncio.wait_for(use(), 60))


def test_a_server_that_was_killed_is_said_to_have_died_of_that(tmp_path: Path, marker: str) -> None:
    pids = tmp_path / "pids"
    server = start(marked(stub_plan(tmp_path, "--children", str(pids)), marker))
    assert server.died() is None
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert until(lambda: server.died() is not None)
    assert server.died() == (
        "server ended with signal 9 (killed): its log cannot say why; the kernel does so when memory runs out"
    ), "no line of a log that was cut off is given for the cause"
    assert all_gone(int(pid) for pid in pids.read_text().split())
    asyncio.run(server.stop())


def test_a_cancelled_start_leaves_nothing(tmp_path: Path, marker: str) -> None:
    async def cancel() -> None:
        task = asyncio.create_task(LOCAL.run(marked(stub_plan(tmp_path, "--load-s", "600"), marker)))
        assert await asyncio.to_thread(until, lambda: len(with_marker(marker)) >= 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert with_marker(marker) == []


def test_the_key_is_in_the_servers_environment_and_in_no_command_line_or_log(tmp_path: Path, marker: str) -> None:
    plan = marked(stub_plan(tmp_path, "--need-key"), marker)
    assert plan.api_key is not None
    server = start(replace(plan, key_env={"STUB_KEY": plan.api_key}))
    try:
        for pid in with_marker(marker):
            assert plan.api_key.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert plan.api_key not in plan.log_path.read_text()
        assert plan.api_key not in repr(plan) + repr(server)
        assert server.endpoint.api_key == plan.api_key
    finally:
        asyncio.run(server.stop())


def test_the_users_own_keys_are_not_handed_to_the_server(
    tmp_path: Path, marker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_HOST_API_KEY", "planted-secret")
    server = start(marked(stub_plan(tmp_path), marker))
    try:
        started = with_marker(marker)
        assert len(started) == 2, "the supervisor and the server"
        for pid in started:
            assert b"planted-secret" not in Path(f"/proc/{pid}/environ").read_bytes()
    finally:
        asyncio.run(server.stop())


def test_stop_does_not_need_the_pipes_end_which_a_fork_of_ours_may_hold(tmp_path: Path, marker: str) -> None:
    server = start(marked(stub_plan(tmp_path, "--ignore-sigterm"), marker))
    held = os.dup(server._supervised.control)
    try:
        asyncio.run(server.stop())
        told = server._supervised.process.returncode
        assert told == 128 + signal.SIGKILL, "the status of the server: nobody had to kill the supervisor"
    finally:
        os.close(held)


LAUNCH = """
import asyncio, os, sys
from pathlib import Path
from tests.integration.launching import stub_plan
from tts_compare.launchers.local import LocalLauncher

pids = sys.argv[1] + "/pids"
plan = stub_plan(Path(sys.argv[1]), "--ignore-sigterm", "--children", pids, "--shm", sys.argv[3])
server = asyncio.run(LocalLauncher().run(plan))
if sys.argv[2] == "forks" and os.fork() == 0:
    import time
    time.sleep(600)
print("ready", flush=True)
asyncio.run(asyncio.sleep(600))
"""


@pytest.mark.parametrize("kind", ["plain", "forks"])
def test_nothing_outlives_a_launcher_that_is_sigkilled(tmp_path: Path, marker: str, kind: str) -> None:
    """Also where a process that the launcher forked holds the supervisor's pipe open."""
    environ = os.environ | {"TTS_TEST_MARKER": marker}
    left_behind = Path("/dev/shm", BACKENDS["vllm"].shm_prefixes[0] + marker)
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(tmp_path), kind, left_behind.name], stdout=subprocess.PIPE, env=environ
    ) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == b"ready\n"
        children = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        started = with_marker(marker)
        assert set(children) < set(started)
        assert left_behind.exists()
        launcher.kill()
        launcher.wait()
        forked = [pid for pid in with_marker(marker) if is_fork_of_launcher(pid)]
        assert len(forked) == (1 if kind == "forks" else 0)
        gone = all_gone(set(started) - set(forked))
        for pid in forked:
            os.kill(pid, signal.SIGKILL)
        assert all_gone(forked)
    assert gone
    assert not left_behind.exists()


def is_fork_of_launcher(pid: int) -> bool:
    try:
        return LAUNCH.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_terminals_interrupt_reaches_the_launcher_and_not_the_server(tmp_path: Path, marker: str) -> None:
    server = start(marked(stub_plan(tmp_path), marker))
    try:
        assert server.pid is not None
        assert os.getsid(server.pid) != os.getsid(0)
        supervisor = os.getsid(server.pid)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(supervisor, number)
        assert not until(lambda: not alive(supervisor), within_s=0.5)
        assert server.died() is None
    finally:
        asyncio.run(server.stop())
