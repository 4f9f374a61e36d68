"""The Python API: load runs and look at them as frames, compare two, and measure new ones (docs/python.md).

>>> import tts_compare as ttc
>>> run = ttc.load("tests/golden/quickstart")
>>> run.points.height
9
"""

from tts_compare.api.experiment import Experiment
from tts_compare.api.figure import Figure
from tts_compare.api.measuring import NothingMeasuredError, arun, run
from tts_compare.api.runs import Run, diff, load

__all__ = ["Experiment", "Figure", "NothingMeasuredError", "Run", "arun", "diff", "load", "run"]
