"""Attaching to a server that runs: what is refused, what is checked, what is taken on trust."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.launching import STUB, until
from tts_compare.domain import Setting
from tts_compare.errors import StartError
from tts_compare.launchers import Place, free_port
from tts_compare.launchers.attach import AttachedServer, AttachLauncher
from tts_compare.launchers.ports import can_bind

Run = Callable[..., str]


@pytest.fixture
def run_stub() -> Iterator[Run]:
    """Runs the stub engine with flags; its address."""
    with ExitStack() as stack:

        def run(*flags: str, **environ: str) -> str:
            port = free_port()
            argv = [sys.executable, str(STUB), "--port", str(port), *flags]
            stub = stack.enter_context(subprocess.Popen(argv, env=os.environ | environ, stderr=subprocess.DEVNULL))
            stack.callback(stub.kill)
            assert until(lambda: not can_bind(port))
            return f"http://127.0.0.1:{port}"

        yield run


def attach(setting: Setting) -> AttachedServer:
    return asyncio.run(AttachLauncher().start(setting, Place(log_path=Path("unused.log"))))


def setting_at(address: str, **changes: object) -> Setting:
    base = Setting(backend="vllm", model="stub", base_url=address, max_model_len=2048)
    return replace(base, **changes)  # type: ignore[arg-type]


def test_what_the_server_tells_is_checked_and_the_rest_is_taken_on_trust(run_stub: Run) -> None:
    server = attach(setting_at(run_stub()))
    assert server.engine_version == "9.9.9"
    assert "max_model_len" not in server.trusted
    assert {"tensor_parallel", "speculation", "dtype", "prefix_caching"} <= set(server.trusted)
    assert [warning.code for warning in server.doubts] == ["attached_on_trust"]
    assert (server.pid, server.startup_s, server.log_path) == (None, None, None)


def test_a_length_other_than_the_settings_is_a_warning(run_stub: Run) -> None:
    server = attach(setting_at(run_stub(), max_model_len=4096))
    assert "max_model_len is 2048, the setting says 4096" in server.doubts[-1].message


def test_a_hosted_model_is_asked_for_and_nothing_of_it_is_taken_on_trust(run_stub: Run) -> None:
    server = attach(setting_at(run_stub(), backend="openai", hosted=True, max_model_len=None))
    assert (server.trusted, server.doubts, server.endpoint.model) == ((), (), "stub")


def test_a_hosted_name_around_a_listed_one_is_sent_as_it_is_with_a_warning(run_stub: Run) -> None:
    server = attach(setting_at(run_stub(), backend="openai", hosted=True, model="re2-stub", max_model_len=None))
    assert server.endpoint.model == "re2-stub"
    assert [warning.code for warning in server.doubts] == ["model_not_listed"]
    assert "lists stub, not re2-stub" in server.doubts[0].message


def test_an_engine_attached_to_serves_only_what_it_lists(run_stub: Run) -> None:
    with pytest.raises(StartError, match="serves stub, not re2-stub"):
        attach(setting_at(run_stub(), model="re2-stub"))


def test_a_model_path_is_found_under_its_last_name(run_stub: Run) -> None:
    assert attach(setting_at(run_stub(), model="/models/Stub/")).endpoint.model == "stub"


def test_the_key_is_taken_from_the_variable_the_setting_names(run_stub: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    address = run_stub("--need-key", STUB_KEY="k-123")
    setting = setting_at(address, api_key_env="HOSTED_KEY")
    with pytest.raises(StartError, match=r"answers 401: the key is missing or wrong .*set HOSTED_KEY"):
        attach(setting)
    monkeypatch.setenv("HOSTED_KEY", "k-123")
    server = attach(setting)
    assert server.endpoint.api_key == "k-123"
    assert "k-123" not in repr(server)


def test_nothing_at_the_address_is_a_start_error() -> None:
    with pytest.raises(StartError, match=r"nothing answers at http://127.0.0.1:\d+/v1"):
        attach(setting_at(f"http://127.0.0.1:{free_port()}"))


def test_a_plan_without_an_address_says_what_to_give() -> None:
    with pytest.raises(StartError, match=r"--attach BACKEND=URL"):
        attach(Setting(backend="openai", model="m", hosted=True))
