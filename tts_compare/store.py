"""The names of ``rundir.store`` under the address they had before the run directory had a package of its own."""

from tts_compare.rundir.store import *  # noqa: F403
