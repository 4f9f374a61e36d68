"""From a setting to the plan of its server on this machine; pure but for the choice of a free port."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from tts_compare.backends import BACKENDS, Machine, ModelFacts
from tts_compare.domain import Setting
from tts_compare.launchers.devices import visible_devices
from tts_compare.launchers.ports import LOOPBACK, free_port
from tts_compare.launchers.protocol import Place, ServerPlan
from tts_compare.machine.gpus import VISIBLE


def plan_server(setting: Setting, place: Place) -> ServerPlan:
    """The plan for a server of ours on 127.0.0.1. Models that are directories never make the engine ask the hub."""
    backend = BACKENDS[setting.backend]
    port, name = free_port(LOOPBACK), backend.served_name(setting)
    key = secrets.token_urlsafe(32) if place.with_key else None
    key_env = backend.key_env(key) if key else None
    return ServerPlan(
        setting=setting,
        log_path=place.log_path,
        argv=backend.argv(
            setting, python=place.python, host=LOOPBACK, port=port, served_name=name, version=place.version
        ),
        env=_environment(setting, place),
        key_env=key_env or {},
        host=LOOPBACK,
        port=port,
        served_name=name,
        health_path=backend.health_path,
        deadline_s=place.deadline_s,
        stop_grace_s=backend.stop_grace_s,
        api_key=key if key_env else None,
    )


def path_with(python: str, path: str) -> str:
    """``path`` with the directory of an engine's Python in it: engines run ``ninja`` by its bare name."""
    beside = str(Path(python).parent)
    return path if beside in path.split(os.pathsep) else f"{beside}{os.pathsep}{path}"


def _environment(setting: Setting, place: Place) -> dict[str, str]:
    machine = place.machine
    env = BACKENDS[setting.backend].env(setting, cores=machine.cores if machine else (), model=place.model)
    env |= common_environment(setting, place)
    if machine is not None:
        devices = visible_devices(setting, place.beside or (setting,), machine, lane=place.lane, environ=os.environ)
        if devices is not None:  # numbered as the driver does, by which their energy is read
            env |= {VISIBLE: devices, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return env


def common_environment(setting: Setting, place: Place) -> dict[str, str]:
    """What every engine is given, wherever its server runs."""
    # An engine imports two thousand modules: compiling them anew at each start takes it a quarter longer (vLLM 0.32).
    env = {"PYTHONDONTWRITEBYTECODE": ""}
    if all(Path(one).is_dir() for one in (setting.model, setting.speculation.model) if one):
        env |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if place.own_packages:
        env |= {"PYTHONPATH": "", "PYTHONHOME": ""}
    return env


def example(setting: Setting, machine: Machine, model: ModelFacts | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Environment and command line of the tested version, but for the interpreter's path, the port and the devices."""
    backend = BACKENDS[setting.backend]
    argv = backend.argv(
        setting,
        python="python",
        host=LOOPBACK,
        port=8000,
        served_name=backend.served_name(setting),
        version=backend.pinned,
    )
    return backend.env(setting, cores=machine.cores, model=model), argv
