"""Uses a server that already runs; never starts or stops one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_compare.backends import BACKENDS
from tts_compare.domain import Doubt, Endpoint, Setting
from tts_compare.errors import StartError
from tts_compare.launchers import probe
from tts_compare.launchers.protocol import ServerPlan

NO_LOG = "none: the server is not ours"
CHECKABLE = (
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "speculation",
    "dtype",
    "max_model_len",
    "max_num_seqs",
    "prefix_caching",
    "engine_args",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedServer:
    """A server that is not ours. Fields as in ``Server``; ``trusted`` names the settings nobody could check."""

    endpoint: Endpoint
    setting: Setting
    trusted: tuple[str, ...] = ()
    engine_version: str | None = None
    doubts: tuple[Doubt, ...] = ()
    pid: int | None = None
    startup_s: float | None = None
    log_path: Path | None = None

    def died(self) -> str | None:
        """None: a server that is not ours cannot be seen to end."""
        return None

    async def stop(self) -> None:
        """Nothing: it was running before us."""


@dataclass(frozen=True, slots=True)
class AttachLauncher:
    """``plan.setting.base_url`` is where the server is; the key is ``plan.api_key`` or the variable ``api_key_env``."""

    name: str = "attach"

    async def start(self, plan: ServerPlan) -> AttachedServer:
        """Refused connection, 401, 403 and a model that it does not serve are errors; no completion is sent."""
        setting = plan.setting
        if setting.base_url is None:
            raise StartError("there is no address to attach to", log=NO_LOG, advice="give --attach BACKEND=URL")
        base_url = base_url_of(setting.base_url)
        backend = BACKENDS[setting.backend]
        key = plan.api_key or os.environ.get(setting.api_key_env or "") or None
        async with probe.http_client(key, setting.headers) as client:
            models = await probe.models_of(client, base_url)
            model = _served(models, base_url, setting, plan.served_name)
            url = root_of(base_url) + backend.version_path if backend.version_path else None
            info = await probe.json_of(client, url) if url else {}
        told = dict(backend.reported(info))
        if models and models.max_model_len and model in models.max_model_len:
            told["max_model_len"] = models.max_model_len[model]
        trusted = () if setting.backend == "openai" else tuple(name for name in CHECKABLE if name not in told)
        version = info.get("version")
        return AttachedServer(
            endpoint=Endpoint(base_url=base_url, model=model, api_key=key, headers=setting.headers),
            setting=setting,
            trusted=trusted,
            engine_version=version if isinstance(version, str) else None,
            doubts=(*doubts_of(setting, told, trusted), *_unlisted(setting, model, models)),
        )


def base_url_of(address: str) -> str:
    """``address`` with the path ``/v1`` where it has no path of its own: ``http://h:8000`` becomes ``http://h:8000/v1``."""
    address = address.rstrip("/")
    return address if "/" in address.partition("://")[2] else f"{address}/v1"


def root_of(base_url: str) -> str:
    """The address above ``/v1``, where health, version and metrics are."""
    return base_url.removesuffix("/v1")


def _served(models: probe.Models | None, base_url: str, setting: Setting, served_name: str) -> str:
    """The name to send. An endpoint without ``/models`` is taken at its word."""
    if models is None:
        raise StartError(f"nothing answers at {base_url}", log=NO_LOG, advice="check the address and that it runs")
    if models.status in (401, 403):
        advice = f"set {setting.api_key_env or 'an API key'}"
        raise StartError(f"{base_url} answers {models.status}: the key is missing or wrong", log=NO_LOG, advice=advice)
    asked = (setting.model, served_name)
    if not models.names:
        return setting.model
    for name in asked:
        if name in models.names:
            return name
    if setting.backend == "openai" and listed_part(setting.model, models.names):
        return setting.model
    some = ", ".join(models.names[:5])
    raise StartError(
        f"{base_url} serves {some}, not {setting.model}", log=NO_LOG, advice="give one of these as --model"
    )


def listed_part(model: str, names: Iterable[str]) -> str | None:
    """The longest listed NAME where ``model`` is of the form ``x-NAME`` or ``NAME:x``; None where it is not.

    A gateway that routes by the rest of the name (optillm: ``re2-NAME``; OpenRouter: ``NAME:floor``) lists NAME alone.
    """
    parts = (name for name in names if model.endswith(f"-{name}") or model.startswith(f"{name}:"))
    return max(parts, key=len, default=None)


def _unlisted(setting: Setting, model: str, models: probe.Models | None) -> tuple[Doubt, ...]:
    """A doubt where the endpoint's list does not hold the name that is sent."""
    part = listed_part(model, models.names) if models else None
    if models is None or part is None or model in models.names:
        return ()
    return (
        Doubt(
            code="model_not_listed",
            message=f"the endpoint lists {part}, not {model}: what it makes of the rest of the name is its own",
            advice="see its documentation for names of that form; a name it does not know fails every request",
            setting=setting.id,
        ),
    )


def doubts_of(setting: Setting, told: Mapping[str, Any], trusted: tuple[str, ...]) -> tuple[Doubt, ...]:
    """One doubt for all that was taken on trust, and one for each field the server tells otherwise."""
    doubts = []
    if trusted:
        doubts.append(
            Doubt(
                code="attached_on_trust",
                message=f"the server was attached to; taken on trust: {', '.join(trusted)}",
                advice="let tts-compare start the server, or compare its command line with the setting by hand",
                setting=setting.id,
            )
        )
    for name, value in told.items():
        asked = getattr(setting, name)
        if asked is not None and asked not in (value, "auto"):
            doubts.append(
                Doubt(
                    code="attached_differs",
                    message=f"the attached server says {name} is {value}, the setting says {asked}",
                    advice="make the setting say what runs",
                    setting=setting.id,
                )
            )
    return tuple(doubts)
