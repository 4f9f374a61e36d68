"""Engine environments: how each engine is installed, found, checked, and given a small model."""

from tts_compare.engines.install import Progress, Request, install, install_all
from tts_compare.engines.registry import EnginePython, Installed, data_dir, find_python, list_installed

__all__ = [
    "EnginePython",
    "Installed",
    "Progress",
    "Request",
    "data_dir",
    "find_python",
    "install",
    "install_all",
    "list_installed",
]
