"""Whether a server's end was its own or the cluster's. Pure.

The tasks tell more than Slurm does (an exit status of 0 is no success), and Slurm's words explain what no task could
tell. A lack of memory is the setting's own, whoever enforced the limit.
"""

from __future__ import annotations

import re

from tts_compare.launchers.control import Ended

_MEMORY = re.compile(r"oom[-_ ]?kill|out of memory|OUT_OF_MEMORY", re.IGNORECASE)
#: What srun says of a job or a step that was taken away (22.05 to 25.05).
_TAKEN = re.compile(
    r"CANCELLED|DUE TO|time limit|preempt|node fail|NODE_FAIL|already complet|Invalid job id|expired", re.IGNORECASE
)
_BY_WORD = {
    "signalled": "Slurm told the step to end",
    "above": "slurmstepd, Slurm's process above the server, was killed",
    "lost": "the connection to the node was lost",
}


def taken_away(ended: Ended | None, srun_said: str) -> str | None:
    """Why the cluster took the server away; None where its end was its own. ended: the first end of a task, if any."""
    if _MEMORY.search(srun_said):
        return None
    words = next((line.strip() for line in srun_said.splitlines() if _TAKEN.search(line)), None)
    if ended is None:
        return words
    known = _BY_WORD.get(ended.why)
    if known is None:
        return None
    return f"{known}: {words}" if words else known
