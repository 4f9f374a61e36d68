"""Launchers: a plan becomes a running server. A new one is one module here and one line in ``LAUNCHERS``."""

from tts_compare.launchers.attach import AttachLauncher
from tts_compare.launchers.local import LocalLauncher
from tts_compare.launchers.machine import manifest_facts, probe_machine
from tts_compare.launchers.plan import plan_server
from tts_compare.launchers.ports import free_port
from tts_compare.launchers.protocol import Launcher, Server, ServerPlan

LAUNCHERS: dict[str, Launcher] = {"local": LocalLauncher(), "attach": AttachLauncher()}

__all__ = [
    "LAUNCHERS",
    "Launcher",
    "Server",
    "ServerPlan",
    "free_port",
    "launcher_for",
    "manifest_facts",
    "plan_server",
    "probe_machine",
]


def launcher_for(plan: ServerPlan) -> Launcher:
    """``attach`` for a setting with an address, ``local`` for one that we start."""
    return LAUNCHERS["local" if plan.argv else "attach"]
