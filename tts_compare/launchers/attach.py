"""Uses a server that already runs; never starts or stops one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tts_compare.backends import BACKENDS, Machine
from tts_compare.client.unreachable import proxy_wants_key, why_unreachable
from tts_compare.client.untimed import is_proxied, open_client
from tts_compare.codes import warn
from tts_compare.domain import Endpoint, RunWarning, Setting
from tts_compare.errors import StartError
from tts_compare.launchers import probe
from tts_compare.launchers.energy import Reading
from tts_compare.launchers.machine import probe_machine
from tts_compare.launchers.model_names import name_to_send, unlisted
from tts_compare.launchers.protocol import Place

if TYPE_CHECKING:
    import httpx

NO_LOG = "none: the server is not ours"
CHECKABLE = (
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "speculation",
    "dtype",
    "quantization",
    "kv_dtype",
    "expert_parallel",
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
    doubts: tuple[RunWarning, ...] = ()
    pid: int | None = None
    startup_s: float | None = None
    log_path: Path | None = None
    logs: tuple[Path, ...] = ()
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()

    def processes(self) -> tuple[int, ...]:
        """None that are ours to see."""
        return ()

    def energy(self) -> Reading:
        """Nothing: its devices may be another machine's."""
        return {}

    def died(self, *, by_ns: int | None = None) -> str | None:
        """None: a server that is not ours cannot be seen to end."""
        return None

    def lost(self) -> str | None:
        """None: it was never a cluster's to take from us."""
        return None

    async def stop(self) -> None:
        """Nothing: it was running before us."""


@dataclass(frozen=True, slots=True)
class AttachLauncher:
    """``setting.base_url`` is where the server is; the key is in the variable ``setting.api_key_env``."""

    name: str = "attach"

    def machine(self, device: Literal["auto", "cpu", "cuda"] = "auto") -> Machine:
        """The machine that sends the requests: of the server's nothing is known."""
        return probe_machine(device)

    def lanes(self, settings: Sequence[Setting], machine: Machine, *, asked: int) -> int:
        """As many as asked for: nothing is started."""
        return asked

    async def start(self, setting: Setting, place: Place) -> AttachedServer:
        """Refused connection, 401, 403 and a model that it does not serve are errors; no completion is sent."""
        if setting.base_url is None:
            raise StartError("there is no address to attach to", log=NO_LOG, advice="give --attach BACKEND=URL")
        base_url = base_url_of(setting.base_url)
        backend = BACKENDS[setting.backend]
        key = os.environ.get(setting.api_key_env or "") or None
        async with open_client(
            base_url, timeout=probe.TIMEOUT_S, api_key=key, headers=setting.headers, insecure=place.insecure
        ) as client:
            models = await _models_of(client, base_url)
            model = _served(models, base_url, setting)
            url = root_of(base_url) + backend.version_path if backend.version_path else None
            info = await probe.json_of(client, url) if url else {}
        told = dict(backend.reported(info))
        if models.max_model_len and model in models.max_model_len:
            told["max_model_len"] = models.max_model_len[model]
        trusted = () if setting.hosted else tuple(name for name in CHECKABLE if name not in told)
        version = info.get("version")
        return AttachedServer(
            endpoint=Endpoint(base_url=base_url, model=model, api_key=key, headers=setting.headers),
            setting=setting,
            trusted=trusted,
            engine_version=version if isinstance(version, str) else None,
            doubts=(*trust_warnings(setting, told, trusted), *unlisted(setting, models.names)),
        )


def base_url_of(address: str) -> str:
    """``address`` with the path ``/v1`` where it has no path of its own: ``http://h:8000`` becomes ``http://h:8000/v1``."""
    before, mark, query = address.partition("?")
    before = before.rstrip("/")
    return (before if "/" in before.partition("://")[2] else f"{before}/v1") + mark + query


def root_of(base_url: str) -> str:
    """The address above ``/v1``, where health, version and metrics are."""
    return base_url.removesuffix("/v1")


async def _models_of(client: httpx.AsyncClient, base_url: str) -> probe.Models:
    import httpx

    try:
        models = await probe.ask_models(client, base_url)
    except httpx.HTTPError as error:
        why = why_unreachable(error, base_url, proxied=is_proxied(base_url))
        raise StartError(why.said, log=NO_LOG, advice=why.advice) from None
    if models.status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        why = proxy_wants_key(base_url)
        raise StartError(why.said, log=NO_LOG, advice=why.advice)
    return models


def _served(models: probe.Models, base_url: str, setting: Setting) -> str:
    """The name to send."""
    if models.status in (401, 403):
        advice = f"set {setting.api_key_env or 'an API key'}"
        raise StartError(f"{base_url} answers {models.status}: the key is missing or wrong", log=NO_LOG, advice=advice)
    name = name_to_send(setting, models.names)
    if name is None:
        some = ", ".join(models.names[:5])
        raise StartError(
            f"{base_url} serves {some}, not {setting.model}", log=NO_LOG, advice="give one of these as --model"
        )
    return name


def trust_warnings(setting: Setting, told: Mapping[str, Any], trusted: tuple[str, ...]) -> tuple[RunWarning, ...]:
    """One warning for all that was taken on trust, and one for each field the server tells otherwise."""
    doubts = []
    if trusted:
        doubts.append(
            warn(
                "attached_on_trust",
                f"the server was attached to; taken on trust: {', '.join(trusted)}",
                setting=setting.id,
            )
        )
    for name, value in told.items():
        asked = getattr(setting, name)
        if asked is not None and asked not in (value, "auto"):
            doubts.append(
                warn(
                    "attached_differs",
                    f"the attached server says {name} is {value}, the setting says {asked}",
                    setting=setting.id,
                )
            )
    return tuple(doubts)
