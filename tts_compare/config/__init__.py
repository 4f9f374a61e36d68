"""What is asked: a TOML file and flags -> Experiment, every value checked."""

from tts_compare.config.experiment import (
    Axes,
    Curve,
    EngineRef,
    Experiment,
    Hosted,
    Limits,
    MethodSpec,
    OptionValue,
    Rule,
    for_engine,
)
from tts_compare.config.load import load_experiment, shipped_configs

__all__ = [
    "Axes",
    "Curve",
    "EngineRef",
    "Experiment",
    "Hosted",
    "Limits",
    "MethodSpec",
    "OptionValue",
    "Rule",
    "for_engine",
    "load_experiment",
    "shipped_configs",
]
