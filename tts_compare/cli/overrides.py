"""Flags -> an experiment: what was given stands over what the configuration says, under the same keys."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tts_compare.config import Experiment

_NOT_KEYS = ("command", "config")


def experiment_of(arguments: Namespace) -> Experiment:
    """The experiment that a command line asks for; the values are still the texts that were typed."""
    from tts_compare.config import load_experiment

    given = {key: value for key, value in vars(arguments).items() if key not in _NOT_KEYS and value is not None}
    return load_experiment(arguments.config, given)
