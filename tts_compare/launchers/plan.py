"""From a setting to the plan of its server; pure but for the choice of a free port."""

from __future__ import annotations

import secrets
from pathlib import Path

from tts_compare.backends import BACKENDS, Machine, ModelFacts
from tts_compare.domain import Setting, model_slug
from tts_compare.launchers.ports import LOOPBACK, free_port
from tts_compare.launchers.protocol import DEFAULT_DEADLINE_S, ServerPlan


def plan_server(
    setting: Setting,
    *,
    python: str,
    own_packages: bool = False,
    log_path: Path,
    machine: Machine | None = None,
    model: ModelFacts | None = None,
    version: str | None = None,
    port: int | None = None,
    visible_devices: str | None = None,
    with_key: bool = True,
    deadline_s: float = DEFAULT_DEADLINE_S,
    insecure: bool = False,
) -> ServerPlan:
    """The plan for a server of ours on 127.0.0.1, or for a setting with ``base_url`` the plan to attach.

    python: the engine environment's interpreter; own_packages: it takes none from PYTHONPATH. version: the engine's
    installed version, which lets newer flags be given. with_key: ask for a random key of this server where the engine
    takes one by environment. visible_devices: CUDA_VISIBLE_DEVICES. insecure: of a server that is not ours, accept any
    certificate. Models that are directories never make the engine ask the hub.
    """
    backend = BACKENDS[setting.backend]
    if setting.base_url is not None or not backend.launched:
        name = model_slug(setting.model)
        return ServerPlan(setting=setting, log_path=log_path, served_name=name, insecure=insecure)
    port = free_port(LOOPBACK) if port is None else port
    name = model_slug(setting.model)
    env = backend.env(setting, cores=machine.cores if machine else (), model=model)
    # An engine imports two thousand modules: compiling them anew at each start takes it a quarter longer (vLLM 0.32).
    env["PYTHONDONTWRITEBYTECODE"] = ""
    if all(Path(one).is_dir() for one in (setting.model, setting.speculation.model) if one):
        env |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if own_packages:
        env |= {"PYTHONPATH": "", "PYTHONHOME": ""}
    if visible_devices is not None:
        env["CUDA_VISIBLE_DEVICES"] = visible_devices
    key = secrets.token_urlsafe(32) if with_key else None
    key_env = backend.key_env(key) if key else None
    return ServerPlan(
        setting=setting,
        log_path=log_path,
        argv=backend.argv(setting, python=python, host=LOOPBACK, port=port, served_name=name, version=version),
        env=env,
        key_env=key_env or {},
        host=LOOPBACK,
        port=port,
        served_name=name,
        health_path=backend.health_path,
        deadline_s=deadline_s,
        stop_grace_s=backend.stop_grace_s,
        api_key=key if key_env else None,
    )
