"""Codes of what is found when the parts of a run that several jobs measured are put together."""

from __future__ import annotations

from collections.abc import Mapping

from tts_compare.codes.code import Code

_RESUME = "tts-compare submit --resume RUN"

PART_CODES: Mapping[str, Code] = {
    "parts_missing": Code(
        severity="error",
        text="tasks of this run have measured nothing yet, or cannot be read",
        fix=_RESUME,
        advice="wait for their jobs (tts-compare status RUN), or submit them again",
    ),
    "parts_unfinished": Code(
        severity="warning",
        text="tasks of this run are not finished: their figures are of the requests so far",
        fix=_RESUME,
        advice="wait for their jobs (tts-compare status RUN), or submit them again",
    ),
    "parts_set_aside": Code(
        severity="error",
        text="rows under parts/ belong to no task of this run, or to another task, and are not counted",
        fix="tts-compare status RUN",
        advice="nothing but the jobs of a run should write in its directory",
    ),
    "parts_differ": Code(
        severity="error",
        text="the parts of this run were not asked for the same: what is compared is not one experiment",
        fix="tts-compare submit --out NEW",
        advice="submit all tasks again in a new directory, with nothing changed in between",
    ),
    "part_software_differs": Code(
        severity="warning",
        text="the parts of this run were measured with different software",
        fix="tts-compare submit --out NEW",
        advice="give all jobs one environment",
    ),
    "part_machines_differ": Code(
        severity="warning",
        text="the parts of this run were measured on machines that differ",
        fix="tts-compare submit --sbatch constraint=NAME",
        advice="ask Slurm for nodes of one kind",
    ),
    "settings_split": Code(
        severity="warning",
        text="compared settings were measured in jobs of their own, perhaps on different nodes and hours apart",
        fix="tts-compare submit --split block",
        advice="measure the settings of a block in one job",
    ),
    "jobs_held": Code(
        severity="note",
        text="what the jobs held, and how much of it was measured",
        fix="tts-compare status RUN",
    ),
}
