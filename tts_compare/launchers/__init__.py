"""Launchers: a setting becomes a running server. A new one is one module here and one line in ``LAUNCHERS``."""

from tts_compare.domain import Setting
from tts_compare.errors import UsageError
from tts_compare.extensions import Extensions
from tts_compare.launchers.attach import AttachLauncher
from tts_compare.launchers.local import LocalLauncher
from tts_compare.launchers.machine import manifest_facts, probe_machine
from tts_compare.launchers.plan import example, plan_server
from tts_compare.launchers.ports import free_port
from tts_compare.launchers.protocol import Launcher, Place, Server, ServerPlan
from tts_compare.launchers.slurm import SlurmLauncher

LAUNCHERS: Extensions[Launcher] = Extensions(
    "tts_compare.launchers", {"local": LocalLauncher(), "attach": AttachLauncher(), "slurm": SlurmLauncher()}
)

__all__ = [
    "LAUNCHERS",
    "Launcher",
    "Place",
    "Server",
    "ServerPlan",
    "example",
    "free_port",
    "launcher_for",
    "launcher_named",
    "manifest_facts",
    "plan_server",
    "probe_machine",
]


def launcher_named(name: str) -> Launcher:
    """The launcher of ``--launcher NAME``. UsageError where there is none of that name."""
    launcher = LAUNCHERS.get(name)
    if launcher is None:
        raise UsageError(f"unknown launcher {name!r}: there are {', '.join(LAUNCHERS)}")
    return launcher


def launcher_for(setting: Setting, name: str = "local") -> Launcher:
    """``attach`` for a setting with an address or a hosted one, the named launcher for one that we start."""
    return LAUNCHERS["attach"] if setting.base_url is not None or setting.hosted else launcher_named(name)
