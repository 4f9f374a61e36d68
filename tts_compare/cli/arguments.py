"""The arguments of each command."""

from __future__ import annotations

import argparse


def add_command(
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


def run_arguments(parser: argparse.ArgumentParser) -> None:
    from tts_compare.cli.knob_flags import add_knobs

    add_knobs(parser)


def plan_arguments(parser: argparse.ArgumentParser) -> None:
    run_arguments(parser)
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


def submit_arguments(parser: argparse.ArgumentParser) -> None:
    run_arguments(parser)
    add = parser.add_argument_group("the jobs").add_argument
    add("--dry-run", action="store_true", help="print what would be submitted; needs no engine, no model, no Slurm")
    add("--to", choices=("slurm", "kubernetes"), default="slurm", help="slurm (the default), or print a Kubernetes Job")
    add("--machine", metavar="M", help="the nodes, as in plan: 4xGH200-96, 2x(8xH200) (default: nodes like this one)")
    add(
        "--split",
        choices=("block", "setting"),
        default="block",
        help="a job a block of one model's settings and round (the default), or a job a setting and round",
    )
    add("--max-jobs", type=int, metavar="K", help="most jobs at once (default: as many as the cluster lets run)")
    add("--time", metavar="[D-]H:M:S", help="time limit of a job (default: from the plan's estimate)")
    add(
        "--on-preempt",
        choices=("requeue", "chain", "stop"),
        default="requeue",
        help="a job that was stopped: queue it again (the default), let a second one follow it, or leave it",
    )
    add("--max-attempts", type=int, default=4, metavar="N", help="attempts of a task, the first included (4)")
    add("--max-hours", type=float, metavar="H", help="hours that all attempts of a task may take together")
    add("--sbatch", action="append", default=[], metavar="OPTION", help="sbatch's option: account=abc; repeatable")
    add("--setup", metavar="FILE", help="shell commands that each job reads first: modules, variables")
    add("--no-check", action="store_true", help="submit though engines or models are not found here")
    add("--image", metavar="IMAGE", default="tts-compare:latest", help="kubernetes: the pod's image")
    add("--claim", metavar="NAME", default="runs", help="kubernetes: the volume claim that keeps the run")
    add("--secret", metavar="NAME", help="kubernetes: a Secret whose entries become variables")


def of_submitted_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")


def report_arguments(parser: argparse.ArgumentParser) -> None:
    from tts_compare.cli.knob_flags import repeat_knob

    add = parser.add_argument
    add("runs", nargs="*", metavar="RUN")
    add("--html", metavar="FILE", help="one self-contained page")
    add("--figures", metavar="DIR", help="each figure as a file")
    add(
        "--format",
        default=None,
        metavar="F",
        help="console, markdown, latex, json, csv, parquet; with --figures: png, svg, pdf",
    )
    add("--full", action="store_true", help="every table, plot, comparison and warning in the terminal")
    add("--claims", action="store_true", help="the paper's claims, tested on this data, too")
    add("--explain", metavar="COLUMN", help="formula, source and population of a column; needs no run")
    add(
        "--slo",
        action="append",
        default=[],
        metavar="NAME=X",
        help="p90_latency=10, accuracy>=0.8, cost<=X; repeatable",
    )
    add(
        "--name",
        action="append",
        default=[],
        metavar="SETTING=LABEL",
        help="what to call a setting, by its id or a part of it; repeatable",
    )
    add("--gpu-hour-usd", metavar="X", help="the price of one device for an hour, in place of the run's")
    add(
        "--price",
        action="append",
        default=[],
        metavar="[NAME=]IN/OUT",
        help="a hosted setting's price per million input and output tokens; repeatable",
    )
    add("--ascii", action="store_true", help="no character beyond ASCII")
    add("--output", metavar="FILE", help="write there instead of to standard output")
    repeat_knob(parser, "strict")
    repeat_knob(parser, "no_color")


def grade_arguments(parser: argparse.ArgumentParser) -> None:
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


def diff_arguments(parser: argparse.ArgumentParser) -> None:
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


def runs_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = add_command(actions, "list", "each run with its state, date, settings and best point", "")
    prune = add_command(
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


def export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--format", choices=("vllm", "telemetry"), default="vllm")
    parser.add_argument(
        "--output",
        metavar="DIR|FILE",
        help="vllm: a directory, one file a point (standard output: one JSON a line); telemetry: a Parquet file",
    )


def import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--out", metavar="DIR", help="the run directory")
    parser.add_argument("--dataset", metavar="NAME|PATH", help="the problems, to grade the texts against")
    parser.add_argument("--budget", metavar="N", help="the cap on generated tokens, where the file does not say it")


def engines_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = add_command(actions, "install", "build an environment for each engine", "")
    install.add_argument("engines", nargs="+", metavar="ENGINE")
    install.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where a GPU is seen")
    install.add_argument("--version", metavar="X", help="the engine's version")
    add_command(actions, "list", "what is installed", "")
    add_command(actions, "doctor", "what works, what does not, and what to run to fix it", "")


def quickstart_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", help="the run directory")


def completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
