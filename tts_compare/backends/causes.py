"""Finding the line of an engine's log that explains why it ended; it is hardly ever the last one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tts_compare.backends.protocol import StartupCause

MAX_CAUSE_CHARS = 300

# What an engine or its runtime prints after the cause, or around it, and that explains nothing. Four spaces are a
# traceback's source lines, which hold the message too, but not the figures in it.
_NOISE = re.compile(
    r"^ {4}|nanobind|^ - leaked |^ - \.\.\. skipped|leaked (shared_memory|semaphore)|resource_tracker|^\s*$"
    r"|destroy_process_group|See root cause above|^\s*For further information visit|\^{3,}|^frame #\d"
    r"|warnings\.warn|(User|Future)Warning|Ignore import error|server_args=\{"
)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# "(EngineCore pid=12) ERROR 11-21 20:52:03 [core.py:1099] ", "[2026-11-21 20:52:03 TP0] ", "[rank0]: ": who speaks
# and when.
_SPEAKER = re.compile(
    r"^(?:\([^()]*pid=\d+\) ?)?(?:(?:INFO|WARNING|ERROR|CRITICAL|DEBUG)\s+[\d-]+\s+[\d:.]+\s*(?:\[[^\]]*\]\s?)?)?"
    r"(?:\[\d{4}-\d\d-\d\d [\d:]+[^\]]*\] ?)?(?:\[rank\d+\]: ?)?"
)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Za-z_]\w*(?:Error|Exception|Interrupt|NotFound)(?::\s.*|$)")


class CauseRule(NamedTuple):
    """A line that, where it stands in a log, is the cause. The first rule that matches wins, and its first match."""

    pattern: str
    advice: str


COMMON_RULES = (
    CauseRule(
        r"error: (?P<cause>unrecognized arguments: .*)", "check --engine-args: this engine version has no such argument"
    ),
    CauseRule(
        r"error: (?P<cause>(?:argument|the following arguments) .*)", "check --engine-args against the engine's help"
    ),
    CauseRule(
        r"(?P<cause>.*gated repo.*)",
        "ask for access on the model's page on the hub, and set HF_TOKEN to a token of an account that has it",
    ),
    CauseRule(
        r"(?P<cause>.*(?:LocalEntryNotFoundError|We couldn't connect to '|outgoing traffic has been disabled).*)",
        "the hub cannot be reached, or HF_HUB_OFFLINE is set, and its cache (HF_HOME) has no such model: "
        "check --model, or name a directory that holds it",
    ),
    CauseRule(
        r"(?P<cause>.*(?:Repo id must be in the form|is not a local folder and is not a valid model).*)",
        "there is no such directory, and no such model on the hub: check --model; a private one needs HF_TOKEN",
    ),
    CauseRule(
        r"(?P<cause>.*contains custom code which must be executed.*)",
        "the model brings code of its own: once you trust it, give --engine-args BACKEND=--trust-remote-code",
    ),
    CauseRule(r"(?P<cause>.*Bfloat16 is only supported on GPUs.*)", "give --dtype float16: this GPU has no bfloat16"),
    CauseRule(
        r"(?P<cause>.*(?:CUDA (?:error: )?out of memory|OutOfMemoryError|DefaultCPUAllocator: can't allocate).*)",
        "end what else uses the device, or take a smaller model, a lower max_model_len, a larger tensor parallel size",
    ),
    CauseRule(
        r"(?P<cause>.*(?:NCCL error|ncclSystemError|ncclInternalError|[Bb]us error).*)",
        "set NCCL_DEBUG=INFO and read the log; a container needs a larger /dev/shm (--shm-size 16g, or --ipc=host)",
    ),
    CauseRule(
        r"(?P<cause>.*(?:driver on your system is too old|driver version is insufficient|no kernel image is available"
        r"|unsupported display driver).*)",
        "this build of CUDA does not fit the GPU or its driver: update the driver, or take another engine version",
    ),
    CauseRule(
        r"(?P<cause>.*(?:Could not find nvcc|nvcc: not found|Ninja is required"
        r"|No such file or directory: '(?:\S*/)?(?:nvcc|ninja)').*)",
        "kernels are compiled at the first start: install CUDA's compiler (nvcc on PATH, or CUDA_HOME) and ninja",
    ),
    CauseRule(
        r"(?P<cause>.*(?:Failed to find C compiler|Python\.h: No such file).*)",
        "kernels are compiled at the first start: install gcc and Python's headers (python3-dev)",
    ),
    CauseRule(
        r"(?P<cause>.*(?:No CUDA GPUs are available|No accelerator \(CUDA|\bError 80[23]:).*)",
        "see what nvidia-smi and `tts-compare engines doctor` say of the GPU",
    ),
    CauseRule(
        r"(?P<cause>.*(?:\[Errno 98\]|[Aa]ddress already in use).*)",
        "another program listens on that port; start again, another port is then chosen",
    ),
    CauseRule(r"(?P<cause>.*No space left on device.*)", "make room on the disk or in /dev/shm"),
    CauseRule(
        r"(?P<cause>(?:PermissionError: |OSError: \[Errno 30\]).*)",
        "set HF_HOME and XDG_CACHE_HOME, or HOME, to directories that can be written",
    ),
    CauseRule(
        r"(?:ModuleNotFoundError: |/python[\d.]*: )(?P<cause>No module named .*)",
        "run `tts-compare engines doctor`: the engine's environment is not whole",
    ),
    CauseRule(
        r"(?P<cause>(?:Value error|Assertion failed), .*|Input should be .*)",  # pydantic's
        "change the setting that it names",
    ),
)


def find_cause(log_text: str, rules: Sequence[CauseRule]) -> StartupCause:
    """The cause by ``rules``, then by the common ones; else the earliest exception shown, else the last line.

    The line comes without colours, without who spoke and when, and cut at 300 characters.
    """
    plain = [_plain(raw) for raw in log_text.splitlines()]
    lines = [line.strip() for line in plain if not _NOISE.search(line)]
    for rule in (*rules, *COMMON_RULES):
        pattern = re.compile(rule.pattern)
        for line in lines:
            if match := pattern.search(line):
                return StartupCause(_cut(match["cause"]), rule.advice)
    exceptions = [line for line in lines if _EXCEPTION.match(line) and "Engine core initialization failed" not in line]
    if exceptions:
        return StartupCause(_cut(exceptions[0]), "read the log from its first traceback on")
    if lines:
        return StartupCause(_cut(lines[-1]), "read the log")
    return StartupCause("it ended without a word", "start the command by hand: `tts-compare plan` prints it")


def _plain(line: str) -> str:
    return _SPEAKER.sub("", _ANSI.sub("", line))


def _cut(line: str) -> str:
    line = " ".join(line.split()).partition(" [type=")[0]  # pydantic adds its input there
    return line if len(line) <= MAX_CAUSE_CHARS else line[: MAX_CAUSE_CHARS - 1] + "…"
