"""One error handler around every command, and the exit status: 0 done, 1 the run failed, 2 bad usage."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence

from tts_compare.cli.parser import COMMANDS, build_parser
from tts_compare.errors import TTSCompareError, UsageError

#: Where each command lives; imported when it is asked for, so that --help stays quick.
_HOMES = {
    "run": "run",
    "plan": "plan",
    "quickstart": "quickstart",
    "report": "report",
    "grade": "grade",
    "diff": "diff",
    "export": "interchange",
    "import": "interchange",
    "engines": "engines",
    "selftest": "selftest",
    "completion": "completion",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    arguments = build_parser().parse_args(with_command(sys.argv[1:] if argv is None else argv))
    try:
        home = importlib.import_module(f"tts_compare.cli.{_HOMES[arguments.command]}")
        status: int = getattr(home, f"{arguments.command}_command")(arguments)
        sys.stdout.flush()
    except TTSCompareError as error:
        sys.stderr.write(f"tts-compare: {error}\n")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        sys.stderr.write("tts-compare: interrupted\n")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader left (a pager, head): point stdout elsewhere, or the interpreter complains while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return status


def with_command(argv: Sequence[str]) -> list[str]:
    """``run`` is meant where the first word is a flag of it."""
    words = list(argv)
    if words and words[0].startswith("-") and words[0] not in ("-h", "--help", "--version"):
        return ["run", *words]
    return words or ["--help"]


__all__ = ["COMMANDS", "main", "with_command"]
