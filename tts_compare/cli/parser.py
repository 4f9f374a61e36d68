"""The command line as argparse sees it; values stay strings here, their meaning is the configuration's."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tts_compare import __version__
from tts_compare.cli import arguments
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
        added = arguments.add_command(commands, one.name, one.what, one.epilog)
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


_COMMANDS = (
    _Command(
        name="run",
        what="start the servers, replay the problems, grade, report",
        epilog=_RUN_EXAMPLES,
        add=arguments.run_arguments,
    ),
    _Command(
        name="plan",
        what="what a run would take in hours and dollars, on this machine or another, and what fits",
        epilog="examples:\n  tts-compare plan --config paper --machine 4xGH200-96\n"
        "  tts-compare plan --config paper --commands",
        add=arguments.plan_arguments,
    ),
    _Command(
        name="submit",
        what="measure one experiment in many jobs of a Slurm cluster, or print a Kubernetes Job",
        epilog="examples:\n  tts-compare submit --config paper --machine 4xGH200-96 --dry-run\n"
        "  tts-compare submit --config paper --rounds 3 --sbatch account=abc --max-jobs 4 --out runs/paper\n"
        "  tts-compare submit --resume runs/paper                (what is missing)\n"
        "  tts-compare submit --config paper --machine 4xH100-SXM --to kubernetes --image IMAGE > job.yaml",
        add=arguments.submit_arguments,
    ),
    _Command(
        name="status",
        what="what became of each task of a submitted run",
        epilog="example:\n  tts-compare status runs/paper",
        add=arguments.of_submitted_arguments,
    ),
    _Command(
        name="cancel",
        what="end all jobs of a submitted run, and check that nothing is left of them",
        epilog="example:\n  tts-compare cancel runs/paper",
        add=arguments.of_submitted_arguments,
    ),
    _Command(
        name="report",
        what="draw the report of one run or several from their files",
        epilog="examples:\n  tts-compare report runs/a --claims --slo p90_latency=10\n"
        "  tts-compare report runs/a runs/b --html both.html",
        add=arguments.report_arguments,
    ),
    _Command(
        name="grade",
        what="grade a finished run anew, or any file of answers",
        epilog="examples:\n  tts-compare grade runs/a --policy final\n  tts-compare grade runs/a --explain algebra/1\n"
        "  tts-compare grade runs/scored --scores http://localhost:8000        (best_of_n: asks for missing scores)\n"
        "  tts-compare grade --responses answers.jsonl > grades.jsonl",
        add=arguments.grade_arguments,
    ),
    _Command(
        name="diff",
        what="compare two runs, paired by problem",
        epilog="example:\n  tts-compare diff runs/old runs/new --fail-on 'accuracy < -2pp' --fail-on 'latency > +5%' "
        "--fail-on 'failed > 1%'\n\n"
        "exit status: 0 no tolerance is exceeded; 1 one is; 2 one cannot be judged, or is not shown to be kept with "
        "--require-proof",
        add=arguments.diff_arguments,
    ),
    _Command(
        name="runs",
        what="list the runs of a directory, or remove those that were not finished",
        epilog="examples:\n  tts-compare runs\n  tts-compare runs results/ --format json\n  tts-compare runs prune\n\n"
        "Without an action, `list` is meant.",
        add=arguments.runs_arguments,
    ),
    _Command(
        name="export",
        what="write each point in another tool's format, or telemetry as Parquet",
        epilog="example:\n  tts-compare export runs/a --format vllm --output results/",
        add=arguments.export_arguments,
    ),
    _Command(
        name="import",
        what="make a run of another tool's result file",
        epilog="example:\n  tts-compare import vllm-bench.json --out runs/bench",
        add=arguments.import_arguments,
    ),
    _Command(
        name="engines",
        what="install, list and examine the engines' environments",
        epilog="examples:\n  tts-compare engines install vllm sglang\n"
        "  tts-compare engines install vllm --version 0.31.0\n  tts-compare engines doctor",
        add=arguments.engines_arguments,
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
        add=arguments.quickstart_arguments,
    ),
    _Command(
        name="completion",
        what="print a script that completes this command line in a shell",
        epilog='examples:\n  eval "$(tts-compare completion bash)"        (in ~/.bashrc)\n'
        '  eval "$(tts-compare completion zsh)"         (in ~/.zshrc, after compinit)\n'
        "  tts-compare completion fish > ~/.config/fish/completions/tts-compare.fish",
        add=arguments.completion_arguments,
    ),
)

COMMANDS = tuple(one.name for one in _COMMANDS)
