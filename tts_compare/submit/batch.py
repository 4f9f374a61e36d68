"""The sbatch file of tasks that need equal nodes: an array, readable, without a secret. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tts_compare.errors import UsageError
from tts_compare.plan.tasks import Shape
from tts_compare.rundir.parts import Task

OnPreempt = Literal["requeue", "chain", "stop"]
#: Seconds before the time limit at which a task is told to stop: it ends its requests and its servers.
WARNED_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a batch file is made of."""

    run: Path
    """The run directory, absolute."""
    file: str
    """The file's name in it."""
    name: str
    """The run's name."""
    tasks: tuple[Task, ...]
    """What the array does, in the order of its indices."""
    shape: Shape
    """What each of its jobs asks for."""
    command: tuple[str, ...]
    """The program and the experiment's flags."""
    directory: Path
    """Where relative paths of the flags begin."""
    time_s: int | None = None
    """Time limit of one attempt; None leaves it to the partition."""
    max_jobs: int | None = None
    """Most tasks at once."""
    on_preempt: OnPreempt = "requeue"
    """What happens to a task that was stopped before its end."""
    max_attempts: int = 4
    """Attempts of a task, the first included."""
    max_hours: float | None = None
    """Hours that all attempts of a task may take together."""
    lines: tuple[str, ...] = ()
    """The user's own options of sbatch, such as ``account=abc``."""
    setup: Path | None = None
    """A file of shell commands that is read first: modules, variables."""


def text_of(batch: Batch) -> str:
    """The file. Raises UsageError for a path or an option that cannot stand in it."""
    return "\n".join(
        [*_head(batch), *_values(batch), _BODY.format(chain=_CHAIN if batch.on_preempt == "chain" else "")]
    )


def _head(batch: Batch) -> Iterator[str]:
    array = f"0-{len(batch.tasks) - 1}" + (f"%{batch.max_jobs}" if batch.max_jobs else "")
    yield "#!/bin/bash"
    yield f"# Written by tts-compare submit: {len(batch.tasks)} tasks, each a block of settings in one round."
    yield "# What is missing at the end is submitted again by: tts-compare submit --resume RUN"
    yield f"#SBATCH --job-name={_plain(f'tts-{batch.name}')}"
    yield f"#SBATCH --array={array}"
    yield f"#SBATCH --nodes={batch.shape.nodes}"
    yield "#SBATCH --ntasks-per-node=1"
    yield f"#SBATCH --cpus-per-task={batch.shape.cores}"
    if batch.shape.devices:
        yield f"#SBATCH --gpus-per-node={batch.shape.devices}"
    if batch.time_s is not None:
        yield f"#SBATCH --time={clock(batch.time_s)}"
    yield f"#SBATCH --signal=B:USR2@{WARNED_S}"
    yield "#SBATCH --requeue" if batch.on_preempt == "requeue" else "#SBATCH --no-requeue"
    yield "#SBATCH --open-mode=append"
    yield f"#SBATCH --chdir={_quoted(batch.directory)}"
    yield f"#SBATCH --output={_quoted(batch.run / 'jobs', pattern='/%A_%a.log')}"
    for line in batch.lines:
        yield f"#SBATCH --{_option(line)}"


def _values(batch: Batch) -> Iterator[str]:
    total = batch.shape.devices * batch.shape.nodes or max(task.devices for task in batch.tasks)
    yield ""
    if batch.setup is not None:
        yield "# shellcheck source=/dev/null"
        yield f". {shlex.quote(str(batch.setup))} || exit 1"
    yield "set -u"
    yield f"run={shlex.quote(str(batch.run))}"
    if batch.on_preempt == "chain":
        yield f"file=$run/{batch.file}"
    yield f"devices={total}"
    yield f"on_preempt={batch.on_preempt}"
    yield f"max_attempts={batch.max_attempts}"
    yield f"max_seconds={round((batch.max_hours or 0) * 3600)}  # of all attempts together; 0: no limit"
    yield f"tasks=({_listed([task.name for task in batch.tasks])})"
    yield f"blocks=({_listed([task.only for task in batch.tasks])})"
    if any("$" in word or "`" in word for word in batch.command):
        yield "# shellcheck disable=SC2016  # these words are meant as they stand"
    yield f"command=({_listed(batch.command)})"


def _listed(words: Sequence[str]) -> str:
    return "\n" + "".join(f"  {shlex.quote(word)}\n" for word in words)


_BODY = """
task=${{tasks[$SLURM_ARRAY_TASK_ID]}}
block=${{blocks[$SLURM_ARRAY_TASK_ID]}}
attempt=${{TTS_COMPARE_ATTEMPT:-${{SLURM_RESTART_COUNT:-0}}}}
# Not SLURM_JOB_ID: that of an array's last task names the whole array.
job=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
words=$run/jobs/$task.jsonl
spent=0
if [ -s "$run/jobs/$task.seconds" ]; then read -r spent <"$run/jobs/$task.seconds"; fi

say() {{ # what happened, exit status, why
  {{
    printf '{{"event":"%s","at":%s,"job":"%s",' "$1" "$(date +%s)" "$job"
    printf '"attempt":%s,"host":"%s","devices":%s,' "$attempt" "${{SLURMD_NODENAME:-}}" "$devices"
    printf '"held_s":%s,"status":%s,"why":"%s"}}\\n' "$SECONDS" "$2" "$3"
  }} >>"$words"
}}

finish() {{ # exit status, why
  say end "$1" "$2"
  echo $((spent + SECONDS)) >"$run/jobs/$task.seconds"
}}

say start null ''
if [ "$attempt" -ge "$max_attempts" ] || {{ [ "$max_seconds" -gt 0 ] && [ "$spent" -ge "$max_seconds" ]; }}; then
  finish 1 'given up'
  exit 1
fi
{chain}
"${{command[@]}}" --only "$block" --resume "$run" --quiet &
pid=$!
stopped=
# USR2 comes before the time limit; TERM from scancel and preemption, after which it is Slurm that queues again or not.
trap 'stopped=USR2; kill -TERM "$pid" 2>/dev/null' USR2
trap 'stopped=TERM; kill -TERM "$pid" 2>/dev/null' TERM
while :; do
  wait "$pid"
  status=$?
  # A trapped signal ends wait, not the run.
  if [ "$status" -le 128 ] || ! kill -0 "$pid" 2>/dev/null; then break; fi
done

if [ "$status" -eq 0 ]; then
  finish 0 'done'
elif [ -z "$stopped" ]; then
  finish "$status" 'failed'
  if [ -n "${{successor:-}}" ]; then scancel "$successor"; fi
elif [ "$on_preempt" = requeue ] && [ "$stopped" = USR2 ]; then
  finish "$status" 'requeued'
  scontrol requeue "$job" && sleep 60
else
  finish "$status" 'interrupted'
fi
exit "$status"
"""

_CHAIN = """
# The next attempt begins only if this one does not end well: time limit, preemption, a node that failed.
successor=$(TTS_COMPARE_ATTEMPT=$((attempt + 1)) sbatch --parsable --dependency="afternotok:$job" \\
  --kill-on-invalid-dep=yes --array="$SLURM_ARRAY_TASK_ID" "$file")
say successor null "$successor"
"""


def clock(seconds: int) -> str:
    """Seconds as Slurm writes a time limit."""
    minutes = -(-seconds // 60)
    days, minutes = divmod(minutes, 24 * 60)
    return (f"{days}-" if days else "") + f"{minutes // 60:02}:{minutes % 60:02}:00"


def _quoted(path: Path, *, pattern: str = "") -> str:
    """A path on a line of sbatch's own, which no shell reads."""
    text = str(path)
    if any(letter in text for letter in '"\\\n\r'):
        raise UsageError(f"sbatch cannot be told of the path {text!r}: use one without quotes and backslashes")
    return f'"{text.replace("%", "%%")}{pattern}"'


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)


def _option(line: str) -> str:
    """An option of the user's as sbatch reads it."""
    option = line.strip().removeprefix("#SBATCH").strip().removeprefix("--")
    if not option or "\n" in option or not option[0].isalpha():
        raise UsageError(f"--sbatch {line!r}: write it as in account=abc")
    return option
