"""What is asked: a TOML file and flags -> Experiment, every value checked."""

from tts_compare.config.asked import Curve, MethodSpec, WaitLimits
from tts_compare.config.axes import Axes, Hosted, SettingRule
from tts_compare.config.experiment import Experiment
from tts_compare.config.load import load_experiment, shipped_configs
from tts_compare.config.serving import EngineRef, for_engine
from tts_compare.config.values import OptionValue

__all__ = [
    "Axes",
    "Curve",
    "EngineRef",
    "Experiment",
    "Hosted",
    "MethodSpec",
    "OptionValue",
    "SettingRule",
    "WaitLimits",
    "for_engine",
    "load_experiment",
    "shipped_configs",
]
