"""The process that does symbolic work: one JSON line in, one out, until its input ends.

It reads ``{"gold", "candidate", "limit_s"}`` and writes ``{"equal": true | false}`` or ``{"failed": why}``. Its
address space is limited, and its processor time too, so that it ends by itself should its parent die.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import sys
from pathlib import Path
from typing import TextIO

from tts_compare.grading.symbolic import symbolically_equal

_NEARLY_ALL = 0.9


def main() -> None:
    """Serve until standard input ends. argv: the limit of the address space in bytes."""
    memory_bytes = int(sys.argv[1])
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not mix with the replies
    logging.disable()
    symbolically_equal("1", "2")  # load everything before the limits and the clock
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _reply(replies, {"ready": True})
    for line in sys.stdin:
        question = json.loads(line)
        _limit_processor_time(float(question["limit_s"]))
        reply = _answer(question["gold"], question["candidate"], memory_bytes)
        _reply(replies, reply)
        if "failed" in reply:
            return


def _answer(gold: str, candidate: str, memory_bytes: int) -> dict[str, object]:
    try:
        equal = symbolically_equal(gold, candidate)
    except MemoryError:
        return {"failed": "memory"}
    except RecursionError:
        return {"failed": "crash"}
    # math-verify swallows a MemoryError inside of a comparison and calls it unequal.
    if not equal and _peak_bytes() > _NEARLY_ALL * memory_bytes:
        return {"failed": "memory"}
    return {"equal": equal}


def _reply(replies: TextIO, reply: dict[str, object]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


def _limit_processor_time(seconds: float) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    ceiling = int(used.ru_utime + used.ru_stime + seconds) + 2
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (ceiling, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _peak_bytes() -> int:
    """The largest address space this process ever had (Linux), 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    peak = next((line for line in status.read_text().splitlines() if line.startswith("VmPeak")), "VmPeak: 0 kB")
    return int(peak.split()[1]) * 1024


if __name__ == "__main__":
    main()
