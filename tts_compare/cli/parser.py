"""The command line as argparse sees it; values stay strings here, their meaning is the configuration's."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tts_compare import __version__
from tts_compare.errors import UsageError

_RUN_EXAMPLES = """\
examples:
  tts-compare --backend vllm,sglang --model Qwen/Qwen2.5-0.5B-Instruct --dataset quickstart --budget 64,128
  tts-compare --backend vllm --tp 1,2 --spec none,ngram --model DIR --dataset math500 --problems 50 --budget 1k,4k,16k
  tts-compare --backend openai --base-url https://host/v1 --model NAME --price 0.15/0.60 --problems 20
  tts-compare --config paper --out runs/paper        (see it first: tts-compare plan --config paper)
  tts-compare run --resume runs/paper                (do only what is missing)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """One command of the program."""

    #: What a user types.
    name: str
    #: What it does, in the list of commands.
    what: str
    #: Examples, below its help.
    epilog: str
    #: Adds its arguments.
    add: Callable[[argparse.ArgumentParser], None] = lambda _parser: None


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of every command; ``run`` is the one meant when none is named.

    command: the only one whose arguments are added, so that the list of commands needs not the configuration.
    """
    parser = argparse.ArgumentParser(
        prog="tts-compare",
        description="Launch LLM serving engines, time every token, grade the same responses and show which "
        "setting is system-optimal: accuracy against latency, and accuracy against cost.",
        epilog="Without a command, `run` is meant. `tts-compare COMMAND --help` tells more.\n\n" + _RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tts-compare {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for one in _COMMANDS:
        added = _add_command(commands, one.name, one.what, one.epilog)
        if command in (None, one.name):
            one.add(added)
    return parser


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The arguments of one command. argparse ends the program for ``--help`` and values that cannot be.

    Raises UsageError for a flag that the command does not have, with the nearest that it has.
    """
    parser = build_parser(words[0])
    arguments, unknown = parser.parse_known_args(words)
    for word in unknown:
        flag = word.partition("=")[0]
        if not flag.startswith("-"):
            raise UsageError(f"{word!r} is one word too many; see tts-compare {words[0]} --help")
        from tts_compare.config.values import alike

        known = sorted({name for action in every_action(parser) for name in action.option_strings})
        found = alike(flag, known)
        raise UsageError(
            f"unknown flag {flag}; " + (f"did you mean {found}?" if found else f"see tts-compare {words[0]} --help")
        )
    return arguments


def every_action(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of a parser and of its commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list them
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield from every_action(command)


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str, epilog: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _run(parser: argparse.ArgumentParser) -> None:
    from tts_compare.cli.knob_flags import add_knobs

    add_knobs(parser)


def _plan(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    add = parser.add_argument_group("the plan").add_argument
    add("--machine", metavar="M", help="4xH100-SXM, 2x(8xH200), or a file that describes one (default: this machine)")
    add("--commands", action="store_true", help="every server command too")
    add(
        "--fail-on",
        action="append",
        default=[],
        metavar="EXPR",
        help="say whether this run could show that a tolerance of diff is kept; repeatable",
    )
    add("--format", choices=("text", "json"), default="text", help="text (the default), or json for programs")


def _report(parser: argparse.ArgumentParser) -> None:
    from tts_compare.cli.knob_flags import repeat_knob

    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN")
    add("--html", metavar="FILE", help="one self-contained page")
    add("--figures", metavar="DIR", help="each figure as a file")
    add(
        "--format",
        default=None,
        metavar="F",
        help="console, markdown, latex, json, csv, parquet; with --figures: png, svg, pdf",
    )
    add("--claims", action="store_true", help="the paper's claims, tested on this data")
    add(
        "--slo",
        action="append",
        default=[],
        metavar="NAME=X",
        help="p90_latency=10, accuracy>=0.8, cost<=X; repeatable",
    )
    add("--output", metavar="FILE", help="write there instead of to standard output")
    repeat_knob(parser, "strict")
    repeat_knob(parser, "no_color")


def _grade(parser: argparse.ArgumentParser) -> None:
    from tts_compare.cli.knob_flags import repeat_knob

    add = parser.add_argument
    add("run", nargs="?", metavar="RUN")
    add("--responses", metavar="FILE", help="JSONL of {gold, response}; writes {status, answer, layer} a row")
    add("--explain", metavar="PROBLEM", help="why the answers to one problem were judged as they were")
    repeat_knob(parser, "policy", help_="which box of a response is its answer (default: the run's)")
    repeat_knob(parser, "grader", help_="what compares answers (default: the run's)")
    add(
        "--scores",
        metavar="URL|FILE",
        help="best_of_n: the reward model to ask for the scores that are missing, or a file of scores",
    )
    add("--scores-api-key-env", default="", metavar="VAR", help="the variable that holds the reward model's key")
    add("--kind", default="math", metavar="KIND", help="with --responses: math, integer, gsm8k, choice")
    add("--timeout", type=float, default=5.0, metavar="S", help="seconds an answer may take (5)")
    repeat_knob(parser, "no_color")


def _diff(parser: argparse.ArgumentParser) -> None:
    from tts_compare.cli.knob_flags import repeat_knob

    add = parser.add_argument
    add("a", metavar="A")
    add("b", metavar="B")
    add(
        "--fail-on",
        action="append",
        default=[],
        metavar="EXPR",
        help="exit 1 where the one-sided 95 %% limit is beyond the tolerance: accuracy, latency, cost, cost_per_token, "
        "failed; repeatable",
    )
    add("--require-proof", action="store_true", help="exit 2 where a tolerance is not shown to be kept")
    add("--map", action="append", default=[], metavar="A=B", help="pair setting A with setting B; repeatable")
    add("--allow-missing", action="store_true", help="points that are in one run only are no reason to fail")
    repeat_knob(parser, "strict")
    repeat_knob(parser, "no_color")


def _runs(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = _add_command(actions, "list", "each run with its state, date, settings and best point", "")
    prune = _add_command(
        actions,
        "prune",
        "remove runs that were not finished, after a question; never one that is under way",
        "examples:\n  tts-compare runs prune\n  tts-compare runs prune runs --state finished --older-than 90 --yes",
    )
    for one in (listed, prune):
        one.add_argument("directory", nargs="?", default="runs", metavar="DIR", help="where the runs are (runs)")
    listed.add_argument("--format", choices=("text", "json"), default="text", help="text (the default), or json")
    prune.add_argument("--yes", action="store_true", help="do not ask")
    prune.add_argument(
        "--state",
        default="interrupted,stopped",
        metavar="S,...",
        help="which: finished, interrupted, stopped, imported, unreadable (interrupted,stopped)",
    )
    prune.add_argument(
        "--older-than", type=float, default=0.0, metavar="DAYS", help="only those that were last written before then"
    )


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--format", choices=("vllm",), default="vllm")
    parser.add_argument("--output", metavar="DIR", help="one file a point (standard output: one JSON a line)")


def _import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--out", metavar="DIR", help="the run directory")
    parser.add_argument("--dataset", metavar="NAME|PATH", help="the problems, to grade the texts against")
    parser.add_argument("--budget", metavar="N", help="the cap on generated tokens, where the file does not say it")


def _engines(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = _add_command(actions, "install", "build an environment for each engine", "")
    install.add_argument("engines", nargs="+", metavar="ENGINE")
    install.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where a GPU is seen")
    install.add_argument("--version", metavar="X", help="the engine's version")
    _add_command(actions, "list", "what is installed", "")
    _add_command(actions, "doctor", "what works, what does not, and what to run to fix it", "")


def _quickstart(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", help="the run directory")


def _completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


_COMMANDS = (
    _Command(name="run", what="start the servers, replay the problems, grade, report", epilog=_RUN_EXAMPLES, add=_run),
    _Command(
        name="plan",
        what="what a run would take in hours and dollars, on this machine or another, and what fits",
        epilog="examples:\n  tts-compare plan --config paper --machine 4xGH200-96\n"
        "  tts-compare plan --config paper --commands",
        add=_plan,
    ),
    _Command(
        name="report",
        what="draw the report of one run or several from their files",
        epilog="examples:\n  tts-compare report runs/a --claims --slo p90_latency=10\n"
        "  tts-compare report runs/a runs/b --html both.html",
        add=_report,
    ),
    _Command(
        name="grade",
        what="grade a finished run anew, or any file of answers",
        epilog="examples:\n  tts-compare grade runs/a --policy final\n  tts-compare grade runs/a --explain algebra/1\n"
        "  tts-compare grade runs/scored --scores http://localhost:8000        (best_of_n: asks for missing scores)\n"
        "  tts-compare grade --responses answers.jsonl > grades.jsonl",
        add=_grade,
    ),
    _Command(
        name="diff",
        what="compare two runs, paired by problem",
        epilog="example:\n  tts-compare diff runs/old runs/new --fail-on 'accuracy < -2pp' --fail-on 'latency > +5%' "
        "--fail-on 'failed > 1%'\n\n"
        "exit status: 0 no tolerance is exceeded; 1 one is; 2 one cannot be judged, or is not shown to be kept with "
        "--require-proof",
        add=_diff,
    ),
    _Command(
        name="runs",
        what="list the runs of a directory, or remove those that were not finished",
        epilog="examples:\n  tts-compare runs\n  tts-compare runs results/ --format json\n  tts-compare runs prune\n\n"
        "Without an action, `list` is meant.",
        add=_runs,
    ),
    _Command(
        name="export",
        what="write each point in another tool's format",
        epilog="example:\n  tts-compare export runs/a --format vllm --output results/",
        add=_export,
    ),
    _Command(
        name="import",
        what="make a run of another tool's result file",
        epilog="example:\n  tts-compare import vllm-bench.json --out runs/bench",
        add=_import,
    ),
    _Command(
        name="engines",
        what="install, list and examine the engines' environments",
        epilog="examples:\n  tts-compare engines install vllm sglang\n"
        "  tts-compare engines install vllm --version 0.31.0\n  tts-compare engines doctor",
        add=_engines,
    ),
    _Command(
        name="selftest",
        what="play cases of known truth against the client and show what it measured",
        epilog="example:\n  tts-compare selftest",
    ),
    _Command(
        name="quickstart",
        what="install both engines, take a small model and print a first frontier",
        epilog="example:\n  tts-compare quickstart",
        add=_quickstart,
    ),
    _Command(
        name="completion",
        what="print a script that completes this command line in a shell",
        epilog='examples:\n  eval "$(tts-compare completion bash)"        (in ~/.bashrc)\n'
        '  eval "$(tts-compare completion zsh)"         (in ~/.zshrc, after compinit)\n'
        "  tts-compare completion fish > ~/.config/fish/completions/tts-compare.fish",
        add=_completion,
    ),
)

COMMANDS = tuple(one.name for one in _COMMANDS)
