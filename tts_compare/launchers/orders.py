"""From a setting and the tasks that wait for it to what each of them is to run. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tts_compare.backends import BACKENDS, KeyByFile, Part, Spanning
from tts_compare.domain import Setting
from tts_compare.errors import StartError
from tts_compare.launchers.control import Hello
from tts_compare.launchers.plan import common_environment, path_with
from tts_compare.launchers.ports import LOOPBACK
from tts_compare.launchers.protocol import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one node's task is to run.

    host, port: where its server listens. key_env: variables that are to hold the server's key; key_config: flag and
    text of the file that is to hold it. The key itself is not in here: it travels by a file.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    log: Path
    host: str
    port: int
    shm: tuple[str, ...] = ()
    key_env: tuple[str, ...] = ()
    key_config: Mapping[str, str] | None = None
    path: str = field(default="", repr=False)

    @property
    def has_key(self) -> bool:
        """Whether the server asks for the key."""
        return bool(self.key_env or self.key_config)

    def told(self) -> dict[str, Any]:
        """As ``node.py`` reads it."""
        return {
            "argv": self.argv,
            "env": self.env | {"PATH": self.path},
            "log": str(self.log),
            "port": self.port,
            "shm": self.shm,
            "key_env": self.key_env,
            "key_config": dict(self.key_config) if self.key_config else None,
        }


def log_of(place: Place, rank: int, count: int) -> Path:
    """``<setting>.log``, and ``<setting>.node<k>.log`` where there are several nodes."""
    stem, path = place.log_path.name.removesuffix(".log"), place.log_path
    return path if count == 1 else path.with_name(f"{stem}.node{rank}.log")


def orders_for(
    setting: Setting, place: Place, hellos: Sequence[Hello], *, reachable: bool, path: str
) -> tuple[Order, ...]:
    """One order a task, by rank. reachable: others than the head's own node are to reach the server; path: PATH.

    Raises StartError where other hosts could reach a server that cannot be given a key.
    """
    keys = _keys(setting, place, reachable=reachable)
    return tuple(_order(setting, place, hellos, hello, keys, reachable=reachable, path=path) for hello in hellos)


def _order(
    setting: Setting,
    place: Place,
    hellos: Sequence[Hello],
    own: Hello,
    keys: Mapping[str, Any],
    *,
    reachable: bool,
    path: str,
) -> Order:
    backend, head, count = BACKENDS[setting.backend], hellos[0], len(hellos)
    host = own.address if own is head and reachable else LOOPBACK
    argv = backend.argv(
        setting,
        python=place.python,
        host=host,
        port=own.port,
        served_name=backend.served_name(setting),
        version=place.version,
    )
    if count > 1 and isinstance(backend, Spanning):
        part = Part(rank=own.rank, count=count, address=own.address, head=head.address, port=head.rendezvous)
        argv = backend.part_argv(setting, argv, part)
        env = backend.part_env(setting, part, cores=own.cores, model=place.model)
    else:
        env = backend.env(setting, cores=own.cores, model=place.model)
    return Order(
        argv=argv,
        env=env | common_environment(setting, place),
        log=log_of(place, own.rank, count),
        host=host,
        port=own.port,
        shm=backend.shm_prefixes,
        path=path_with(place.python, path),
        **keys,
    )


def _keys(setting: Setting, place: Place, *, reachable: bool) -> dict[str, Any]:
    """How the server is given its key. On loopback only by environment, as on a machine of our own."""
    backend = BACKENDS[setting.backend]
    if not place.with_key and not reachable:
        return {}
    names = backend.key_env("")
    if names is not None:
        return {"key_env": tuple(names)}
    if not reachable:
        return {}
    if isinstance(backend, KeyByFile):
        flag, text = backend.key_file()
        return {"key_config": {"flag": flag, "text": text}}
    raise StartError(
        f"other hosts could reach it, and {backend.name} takes no key",
        log=str(place.log_path),
        advice="run tts-compare on the node that the server runs on, as in a batch script",
    )
