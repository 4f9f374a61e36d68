"""One error handler around every command, and the exit status: 0 done, 1 the run failed, 2 bad usage."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence

from tts_compare.cli.parser import COMMANDS, parse
from tts_compare.cli.terminal import talk
from tts_compare.errors import TTSCompareError, UsageError

#: Where each command lives; imported when it is asked for, so that --help stays quick.
_HOMES = {
    "run": "run",
    "plan": "plan",
    "quickstart": "quickstart",
    "report": "report",
    "grade": "grade",
    "diff": "diff",
    "runs": "runs",
    "export": "interchange",
    "import": "interchange",
    "engines": "engines",
    "selftest": "selftest",
    "completion": "completion",
}

#: Commands that read run directories alone.
_READERS = ("report", "grade", "diff", "runs", "export")
_LONGEST_ERROR = 2000


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is: a locale without a letter ends no report
    words = with_command(sys.argv[1:] if argv is None else argv)
    try:
        arguments = parse(words)
        home = importlib.import_module(f"tts_compare.cli.{_HOMES[arguments.command]}")
        status: int = getattr(home, f"{arguments.command}_command")(arguments)
        sys.stdout.flush()
    except TTSCompareError as error:
        talk("tts-compare: " + " ".join(str(error).split())[:_LONGEST_ERROR])
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        sys.stderr.write("tts-compare: interrupted\n")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader left (a pager, head): point stdout elsewhere, or the interpreter complains while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        # A run directory may be anybody's: whatever is wrong with it is told in a line, as all bad input is.
        if words[0] not in _READERS or os.environ.get("TTS_COMPARE_DEBUG"):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        talk(f"tts-compare: this run cannot be read ({what}); TTS_COMPARE_DEBUG=1 shows where")
        return 2 if arguments.command == "diff" else 1  # a gate's 1 says that a tolerance is exceeded
    return status


def with_command(argv: Sequence[str]) -> list[str]:
    """``run`` is meant where the first word is a flag of it, and ``list`` where ``runs`` has no action."""
    words = list(argv)
    if words and words[0].startswith("-") and words[0] not in ("-h", "--help", "--version"):
        return ["run", *words]
    if words[:1] == ["runs"] and words[1:2] not in (["list"], ["prune"], ["-h"], ["--help"]):
        return ["runs", "list", *words[1:]]
    return words or ["--help"]


__all__ = ["COMMANDS", "main", "with_command"]
