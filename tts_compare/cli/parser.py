"""The command line as argparse sees it; values stay strings here, their meaning is the configuration's."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from tts_compare import __version__
from tts_compare.config.keys import KNOBS
from tts_compare.config.knob import GROUPS, Knob

COMMANDS = (
    "run",
    "plan",
    "report",
    "grade",
    "diff",
    "export",
    "import",
    "engines",
    "selftest",
    "quickstart",
    "completion",
)

_RUN_EXAMPLES = """\
examples:
  tts-compare --backend vllm,sglang --model Qwen/Qwen2.5-0.5B-Instruct --dataset quickstart --budget 64,128
  tts-compare --backend vllm --tp 1,2 --spec none,ngram --model DIR --dataset math500 --problems 50 --budget 1k,4k,16k
  tts-compare --backend openai --base-url https://host/v1 --model NAME --price 0.15/0.60 --problems 20
  tts-compare --config paper --out runs/paper        (see it first: tts-compare plan --config paper)
  tts-compare run --resume runs/paper                (do only what is missing)
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command; ``run`` is the one meant when none is named."""
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
    run = _command(commands, "run", "start the servers, replay the problems, grade, report", _RUN_EXAMPLES)
    add_knobs(run)
    plan = _command(
        commands,
        "plan",
        "every server command and the work, with no effects",
        "example:\n  tts-compare plan --config paper",
    )
    add_knobs(plan)
    _add_report(commands)
    _add_grade(commands)
    _add_diff(commands)
    _add_interchange(commands)
    _add_engines(commands)
    _command(
        commands,
        "selftest",
        "play cases of known truth against the client and show what it measured",
        "example:\n  tts-compare selftest",
    )
    quick = _command(
        commands,
        "quickstart",
        "install both engines, take a small model and print a first frontier",
        "example:\n  tts-compare quickstart",
    )
    quick.add_argument("--out", metavar="DIR", help="the run directory")
    _add_completion(commands)
    return parser


def _command(
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


def add_knobs(parser: argparse.ArgumentParser, knobs: Iterable[Knob] = tuple(KNOBS.values())) -> None:
    """The flags of every knob that has one, grouped; ``--config`` beside them."""
    groups = {title: parser.add_argument_group(title) for title in dict.fromkeys(GROUPS.values())}
    groups["what is compared"].add_argument(
        "--config", metavar="NAME|FILE", help="an experiment as TOML; flags override it (quickstart, paper, ...)"
    )
    alternatives: dict[str, argparse._MutuallyExclusiveGroup] = {}
    for knob in knobs:
        if not knob.flag:
            continue
        into: argparse._ActionsContainer = groups[knob.title]
        if knob.exclusive:
            if knob.exclusive not in alternatives:
                alternatives[knob.exclusive] = groups[knob.title].add_mutually_exclusive_group()
            into = alternatives[knob.exclusive]
        _add_knob(into, knob)


def _add_knob(into: argparse._ActionsContainer, knob: Knob, *, help_: str = "") -> None:
    """A knob's flag; values stay strings, which the configuration reads. help_: what it means here, if not the same."""
    told = (help_ or help_of(knob)).replace("%", "%%")
    form: dict[str, Any] = {"metavar": knob.metavar}
    if knob.levels:
        _add_levels(into, knob)
        return
    if knob.is_switch:
        form = {"action": "store_const", "const": True}
    elif knob.choices:
        form = {"choices": knob.choices}
    elif knob.repeatable:
        form["action"] = "append"
    into.add_argument(knob.option, *knob.aliases, dest=knob.key, help=told, **form)


def _add_levels(into: argparse._ActionsContainer, knob: Knob) -> None:
    """``--flag`` and ``--flag=VALUE``: flags of their own to argparse, so that no word after one is its value."""
    flags = [knob.option, *knob.aliases]
    for level, told in knob.levels.items():
        into.add_argument(*flags, f"{knob.option}={level}", dest=knob.key, action="store_const", const=level, help=told)
        flags = []


def help_of(knob: Knob) -> str:
    """A knob's line in ``--help``: what it means, and its default."""
    notes = ["repeatable"] if knob.repeatable else []
    if knob.shown_default:
        notes.append(f"default: {knob.shown_default}")
    return (knob.help + (f" ({'; '.join(notes)})" if notes else "")).replace("`", "")


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "report",
        "draw the report of one run or several from their files",
        "examples:\n  tts-compare report runs/a --claims --slo p90_latency=10\n"
        "  tts-compare report runs/a runs/b --html both.html",
    )
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
    _add_knob(parser, KNOBS["no_color"])


def _add_grade(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "grade",
        "grade a finished run anew, or any file of answers",
        "examples:\n  tts-compare grade runs/a --policy final\n  tts-compare grade runs/a --explain algebra/1\n"
        "  tts-compare grade runs/scored --scores http://localhost:8000        (best_of_n: asks for missing scores)\n"
        "  tts-compare grade --responses answers.jsonl > grades.jsonl",
    )
    add = parser.add_argument
    add("run", nargs="?", metavar="RUN")
    add("--responses", metavar="FILE", help="JSONL of {gold, response}; writes {status, answer, layer} a row")
    add("--explain", metavar="PROBLEM", help="why the answers to one problem were judged as they were")
    _add_knob(parser, KNOBS["policy"], help_="which box of a response is its answer (default: the run's)")
    _add_knob(parser, KNOBS["grader"], help_="what compares answers (default: the run's)")
    add(
        "--scores",
        metavar="URL|FILE",
        help="best_of_n: the reward model to ask for the scores that are missing, or a file of scores",
    )
    add("--scores-api-key-env", default="", metavar="VAR", help="the variable that holds the reward model's key")
    add("--kind", default="math", metavar="KIND", help="with --responses: math, integer, gsm8k, choice")
    add("--timeout", type=float, default=5.0, metavar="S", help="seconds an answer may take (5)")
    _add_knob(parser, KNOBS["no_color"])


def _add_diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "diff",
        "compare two runs, paired by problem",
        "example:\n  tts-compare diff runs/old runs/new --fail-on 'accuracy < -2pp' --fail-on 'latency > +5%'",
    )
    add = parser.add_argument
    add("a", metavar="A")
    add("b", metavar="B")
    add(
        "--fail-on",
        action="append",
        default=[],
        metavar="EXPR",
        help="exit 1 where the interval excludes the tolerance; repeatable",
    )
    _add_knob(parser, KNOBS["no_color"])


def _add_interchange(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = _command(
        commands,
        "export",
        "write each point in another tool's format",
        "example:\n  tts-compare export runs/a --format vllm --output results/",
    )
    export.add_argument("run", metavar="RUN")
    export.add_argument("--format", choices=("vllm",), default="vllm")
    export.add_argument("--output", metavar="DIR", help="one file a point (standard output: one JSON a line)")
    imported = _command(
        commands,
        "import",
        "make a run of another tool's result file",
        "example:\n  tts-compare import vllm-bench.json --out runs/bench",
    )
    imported.add_argument("file", metavar="FILE")
    imported.add_argument("--out", metavar="DIR", help="the run directory")
    imported.add_argument("--dataset", metavar="NAME|PATH", help="the problems, to grade the texts against")
    imported.add_argument("--budget", metavar="N", help="the cap on generated tokens, where the file does not say it")


def _add_engines(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    engines = _command(
        commands,
        "engines",
        "install, list and examine the engines' environments",
        "examples:\n  tts-compare engines install vllm sglang\n  tts-compare engines install vllm --version 0.31.0\n"
        "  tts-compare engines doctor",
    )
    actions = engines.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = _command(actions, "install", "build an environment for each engine", "")
    install.add_argument("engines", nargs="+", metavar="ENGINE")
    install.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where a GPU is seen")
    install.add_argument("--version", metavar="X", help="the engine's version")
    _command(actions, "list", "what is installed", "")
    _command(actions, "doctor", "what works, what does not, and what to run to mend it", "")


def _add_completion(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "completion",
        "print a script that completes this command line in a shell",
        'examples:\n  eval "$(tts-compare completion bash)"        (in ~/.bashrc)\n'
        '  eval "$(tts-compare completion zsh)"         (in ~/.zshrc, after compinit)\n'
        "  tts-compare completion fish > ~/.config/fish/completions/tts-compare.fish",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
