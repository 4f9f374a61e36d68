"""The loop: setting -> launch -> ready -> warm up -> replay -> store; and the judging of what it stored."""

from tts_compare.experiment.execute import Outcome, execute
from tts_compare.experiment.prepare import Prepared, prepare

__all__ = ["Outcome", "Prepared", "execute", "prepare"]
