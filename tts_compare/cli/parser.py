"""The command line as argparse sees it; values stay strings here, their meaning is the configuration's."""

from __future__ import annotations

import argparse

from tts_compare import __version__

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
    _add_run(run)
    plan = _command(
        commands,
        "plan",
        "what a run would take in hours and dollars, on this machine or another, and what fits",
        "examples:\n  tts-compare plan --config paper --machine 4xGH200-96\n"
        "  tts-compare plan --config paper --commands",
    )
    _add_run(plan)
    _add_plan(plan.add_argument_group("the plan"))
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


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_what(parser.add_argument_group("what is compared"))
    _add_work(parser.add_argument_group("work"))
    _add_judging(parser.add_argument_group("grading and money"))
    _add_where(parser.add_argument_group("where and how"))


def _add_what(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--config", metavar="NAME|FILE", help="an experiment as TOML; flags override it (quickstart, paper, ...)")
    add(
        "--backend",
        metavar="B[==V],...",
        help="vllm, sglang, transformers, openai; several versions may stand side by side",
    )
    add("--model", metavar="M,...", help="a model's name on the hub, or a directory")
    add("--revision", metavar="R", help="the model's revision on the hub")
    add("--tp", metavar="N,...", help="tensor-parallel sizes")
    add("--pp", metavar="N,...", help="pipeline-parallel sizes")
    add("--dp", metavar="N,...", help="data-parallel sizes")
    add("--spec", metavar="S,...", help="speculation: none, ngram, draft_model, eagle, eagle3, mtp")
    add("--dtype", metavar="D,...", help="weights' type, e.g. bfloat16, float32 (auto)")
    add("--replica", metavar="NAME", action="append", help="measure each setting once more under this name; repeatable")
    add("--max-model-len", metavar="N", help="context length in tokens (longest prompt + largest budget)")
    add("--device", choices=("auto", "cpu", "cuda"), help="what the engines run on (auto: cuda where a GPU is seen)")
    add("--engine-args", metavar="B=FLAGS", action="append", help="flags passed to an engine verbatim; repeatable")


def _add_work(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--method", metavar="M,...", help="truncate, force, vote, best_of_n, no_thinking")
    add("--budget", metavar="N,...", help="caps on generated tokens: 256, 1k, 16k (1k = 1024)")
    add("--curve", choices=("single-pass", "per-budget"), help="one response cut at every budget, or one a budget")
    add("--spot-check", metavar="K", help="rerun K problems at a small budget to check the cut ones")
    add("--samples", metavar="K", help="samples a problem, for vote and best_of_n")
    add("--rounds", metavar="R", help="split the problems into R shares, with a start of every setting for each")
    add("--repeats", metavar="K", help="send everything K times, with a start each, interleaved (A B B A)")
    add("--dataset", metavar="NAME|PATH", help="math500, quickstart, or a JSONL or Parquet file")
    add("--problems", "--num-prompts", dest="problems", metavar="N", help="a sample stratified by level")
    add("--prompt", metavar="NAME|FILE", help="the prompt template")
    add("--temperature", metavar="T", help="0 is greedy")
    add("--top-p", metavar="P")
    add("--seed", metavar="S")
    load = group.add_mutually_exclusive_group()
    load.add_argument(
        "--concurrency", "--max-concurrency", dest="concurrency", metavar="N,...", help="closed loop: problems at once"
    )
    load.add_argument("--request-rate", metavar="R,...", help="open loop: problems a second, Poisson")
    add("--workers", metavar="N", help="client processes, for loads past one core")


def _add_judging(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--policy", choices=("any", "final", "forced"), help="which box of a response is its answer")
    add("--grader", choices=("layered", "math-verify", "both"))
    add("--grade-live", action="store_const", const=True, help="grade while requests run (disturbs a small machine)")
    add("--gpu-hour-usd", metavar="X", help="the price of one device for an hour")
    add("--price", metavar="IN/OUT", help="a hosted model's price per million input and output tokens, in US dollars")
    add("--budget-usd", metavar="X", help="stop before more than this is spent")


def _add_where(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--base-url", metavar="URL", help="with --backend openai: where the endpoint is (.../v1)")
    add("--api-key-env", metavar="VAR", help="the variable that holds the endpoint's key (OPENAI_API_KEY)")
    add("--attach", metavar="B=URL", action="append", help="use a server that already runs; repeatable")
    add("--engine-python", metavar="B=PATH", action="append", help="the Python of an engine's own environment")
    add("--launcher", metavar="NAME", help="what starts the servers (local); an address is attached to")
    add("--parallel-servers", metavar="N", help="servers at once on a machine with several GPUs")
    add("--max-restarts", metavar="N", help="restarts of an engine that died, in each round (1)")
    add("--out", "--result-dir", dest="out", metavar="DIR", help="the run directory")
    add("--resume", metavar="DIR", help="go on with a run: send only what was not measured")
    add("--retry-failed", action="store_const", const=True, help="with --resume: also send again what failed")
    add("--quiet", action="store_const", const=True, help="no progress, only the report")
    add("--no-color", action="store_const", const=True, help="no colour (also NO_COLOR)")
    _add_strict(group)
    add("--insecure", action="store_const", const=True, help="do not verify TLS certificates; every report says so")


def _add_strict(group: argparse._ActionsContainer) -> None:
    """``--strict`` and ``--strict=warning``: two flags to argparse, so that no word after the first is its value."""
    add = group.add_argument
    add("--strict", "--strict=error", action="store_const", const="error", help="exit 1 on a warning of severity error")
    add("--strict=warning", action="store_const", const="warning", dest="strict", help="exit 1 on any but a note")


def _add_plan(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
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
    _add_strict(parser)
    add("--no-color", action="store_true")


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
    add("--policy", choices=("any", "final", "forced"))
    add("--grader", choices=("layered", "math-verify", "both"))
    add(
        "--scores",
        metavar="URL|FILE",
        help="best_of_n: the reward model to ask for the scores that are missing, or a file of scores",
    )
    add("--scores-api-key-env", default="", metavar="VAR", help="the variable that holds the reward model's key")
    add("--kind", default="math", metavar="KIND", help="with --responses: math, integer, gsm8k, choice")
    add("--timeout", type=float, default=5.0, metavar="S", help="seconds an answer may take (5)")
    add("--no-color", action="store_true")


def _add_diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "diff",
        "compare two runs, paired by problem",
        "example:\n  tts-compare diff runs/old runs/new --fail-on 'accuracy < -2pp' --fail-on 'latency > +5%' "
        "--fail-on 'failed > 1%'\n\n"
        "exit status: 0 no tolerance is exceeded; 1 one is; 2 one cannot be judged, or is not shown to be kept with "
        "--require-proof",
    )
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
    _add_strict(parser)
    add("--no-color", action="store_true")


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
