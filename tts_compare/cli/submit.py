"""``tts-compare submit``: one experiment as the array jobs of a cluster; ``--dry-run`` prints the batch file."""

from __future__ import annotations

import os
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tts_compare.cli.overrides import asked_by
from tts_compare.cli.terminal import talk
from tts_compare.errors import UsageError

if TYPE_CHECKING:
    from tts_compare.cli.overrides import CommandLine
    from tts_compare.machine import PlannedMachine
    from tts_compare.plan.design import Design
    from tts_compare.plan.prepare import Prepared
    from tts_compare.plan.tasks import Split
    from tts_compare.submit.batch import Batch
    from tts_compare.submit.design import Group


def submit_command(arguments: Namespace) -> int:
    """Submit an experiment, or what is missing of one; with ``--dry-run`` or ``--to kubernetes`` print alone."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's client: what a node sees is on a disk
    from tts_compare.machine import machine_from
    from tts_compare.plan.hardware import that_fit
    from tts_compare.plan.inputs import design_of
    from tts_compare.plan.prepare import prepare
    from tts_compare.rundir.parts import is_parted

    _check_numbers(arguments)
    if arguments.resume and is_parted(Path(arguments.resume)):
        return _resume(Path(arguments.resume))
    asked = asked_by(arguments)
    experiment = asked.experiment()
    planned = machine_from(arguments.machine) if arguments.machine else None
    if planned and experiment.device == "cpu":
        raise UsageError("--machine names GPUs: give it without --device cpu")
    prints = arguments.dry_run or arguments.to == "kubernetes"
    machine = planned.probed() if planned else None
    prepared = prepare(experiment, fetch=False, machine=machine, elsewhere=prints)
    design = design_of(prepared, planned)
    prepared = that_fit(prepared, design)
    prepared.require_settings()
    design = replace(design, settings=prepared.settings)
    _warn(prepared, design, arguments)
    run = Path(experiment.resume or experiment.out or f"runs/{datetime.now(UTC):%Y%m%d-%H%M%S}-{experiment.name}")
    if arguments.to == "kubernetes":
        sys.stdout.write(_job(arguments, asked, prepared, design))
        return 0
    batches = _batches(arguments, asked, prepared, design, planned=planned, run=run.absolute())
    if arguments.dry_run:
        from tts_compare.submit.batch import text_of

        for batch in batches:
            sys.stdout.write(text_of(batch))
        return 0
    _write(asked, prepared, batches, run, split=arguments.split)
    for batch in batches:
        _send(run, batch.file, {task.name: index for index, task in enumerate(batch.tasks)})
    quoted = shlex.quote(str(run))
    talk(f"run directory: {run}; tts-compare status {quoted}; tts-compare report {quoted}")
    return 0


def _check_numbers(arguments: Namespace) -> None:
    for name in ("max_jobs", "max_attempts", "max_hours"):
        value = getattr(arguments, name)
        if value is not None and value <= 0:
            raise UsageError(f"--{name.replace('_', '-')} must be above 0")


def _warn(prepared: Prepared, design: Design, arguments: Namespace) -> None:
    """What weakens the run, and what a job would find missing: an error unless nothing is submitted now."""
    from tts_compare.codes import warn
    from tts_compare.submit.checks import missing_here

    for item in prepared.left_out:
        talk(f"skipped: {item.setting.id}: {item.reason}")
    missing = list(missing_here(prepared))
    if missing and not (arguments.dry_run or arguments.no_check or arguments.to == "kubernetes"):
        raise UsageError("; ".join(missing) + "; or give --no-check where the nodes have it")
    doubts = [*prepared.doubts, *([warn("settings_split")] if arguments.split == "setting" else [])]
    for line in (*missing, *(f"{w.message} ({w.advice})" if w.advice else w.message for w in doubts)):
        talk(f"warning: {line}")
    if not arguments.machine and design.machine is None:
        talk("warning: nothing is known of this machine's devices: no time limit is set; give --machine or --time")


def _batches(
    arguments: Namespace,
    asked: CommandLine,
    prepared: Prepared,
    design: Design,
    *,
    planned: PlannedMachine | None,
    run: Path,
) -> list[Batch]:
    from tts_compare.submit.batch import Batch
    from tts_compare.submit.design import groups_of, seconds_in
    from tts_compare.submit.words import flags_of, program

    kept = asked.to_keep()
    per_node = planned.devices if planned else prepared.machine.devices
    groups = groups_of(prepared, design, split=arguments.split, per_node=per_node)
    setup = Path(arguments.setup).absolute() if arguments.setup else None
    if setup and not setup.is_file():
        raise UsageError(f"--setup: there is no file {setup}")
    stated = seconds_in(arguments.time) if arguments.time else None
    for group in groups:
        if stated is None and group.time_s is None:
            talk("warning: no time can be said of these settings: the partition's own limit holds; give --time")
    return [
        Batch(
            run=run,
            file="job.sbatch" if len(groups) == 1 else f"job-{number}.sbatch",
            name=prepared.experiment.name,
            tasks=group.tasks,
            shape=group.shape,
            command=(*program(), "run", *flags_of(kept["config"], kept["flags"]), *_launcher(kept["flags"], group)),
            directory=Path.cwd(),
            time_s=stated or group.time_s,
            max_jobs=arguments.max_jobs,
            on_preempt=arguments.on_preempt,
            max_attempts=arguments.max_attempts,
            max_hours=arguments.max_hours,
            lines=tuple(arguments.sbatch),
            setup=setup,
        )
        for number, group in enumerate(groups)
    ]


def _launcher(flags: object, group: Group) -> tuple[str, ...]:
    """A server over several nodes is a step of the job; on one node it is a process beside the client."""
    stated = isinstance(flags, dict) and "launcher" in flags
    return ("--launcher=slurm",) if group.shape.nodes > 1 and not stated else ()


def _write(asked: CommandLine, prepared: Prepared, batches: Sequence[Batch], run: Path, *, split: Split) -> None:
    """The run directory as the jobs expect it. Raises UsageError where it is not empty."""
    from tts_compare.plan.tasks import tasks_of
    from tts_compare.rundir import store
    from tts_compare.rundir.facts import SkippedFacts
    from tts_compare.rundir.manifest import Asked as Kept
    from tts_compare.rundir.parts import Parts, write_parts
    from tts_compare.submit.batch import text_of

    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise UsageError(f"{run} is not empty: name another directory with --out")
    texts = {batch.file: text_of(batch) for batch in batches}
    kept = asked.to_keep()
    by_name = {task.name: task for batch in batches for task in batch.tasks}
    try:
        for directory in (run / "jobs", run / "parts"):
            directory.mkdir(parents=True)
        for name, text in texts.items():
            (run / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the run directory {run}: {error.strerror}") from error
    write_parts(
        run,
        Parts(
            name=run.resolve().name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            asked=Kept(config=kept["config"], flags=dict(kept["flags"])),
            tasks=tuple(by_name[task.name] for task in tasks_of(prepared, split=split)),
            left_out=tuple(SkippedFacts(setting=item.setting.id, reason=item.reason) for item in prepared.left_out),
        ),
        private=store.RunDir(run).private,
    )


def _send(run: Path, file: str, indices: dict[str, int], *, only: bool = False) -> None:
    """Submit an array, or with ``only`` these indices of it."""
    from tts_compare.rundir.parts import Submission, add_submission
    from tts_compare.submit.queue import sbatch

    job = sbatch(run / file, indices=sorted(indices.values()) if only else None, limit=_limit_in(run / file))
    add_submission(run, Submission(job=job, file=file, tasks=indices, at=time.time()))
    talk(f"submitted job {job}: {len(indices)} tasks, {file}")


def _limit_in(file: Path) -> int | None:
    """The most tasks at once that a batch file asks for."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#SBATCH --array="):
            _, percent, limit = line.partition("%")
            return int(limit) if percent else None
    return None


def _resume(run: Path) -> int:
    """Submit again what has no job and is not done."""
    from tts_compare.rundir.parts import read_parts, submissions
    from tts_compare.submit.queue import queued
    from tts_compare.submit.state import jobs_of, states_of

    read_parts(run)
    states = states_of(run, queued(jobs_of(run)))
    missing = {one.task.name for one in states if one.state != "done" and not one.is_open}
    at_work = sum(one.is_open for one in states)
    if not missing:
        talk(f"nothing to submit: {at_work} tasks wait or run, {len(states) - at_work} are done")
        return 0
    where: dict[str, dict[str, int]] = {}
    for one in submissions(run):
        where.setdefault(one.file, {}).update(one.tasks)
    if unplaced := missing - {task for tasks in where.values() for task in tasks}:
        raise UsageError(f"{run}: {', '.join(sorted(unplaced))} were never submitted: submit anew in another directory")
    for file, tasks in where.items():
        chosen = {task: index for task, index in tasks.items() if task in missing}
        if chosen:
            for task in chosen:
                (run / "jobs" / f"{task}.seconds").unlink(missing_ok=True)  # the limit is that of one submission
            _send(run, file, chosen, only=True)
    return 0


def _job(arguments: Namespace, asked: CommandLine, prepared: Prepared, design: Design) -> str:
    from tts_compare.submit.design import CLIENT_CORES, CORES_A_GPU, limit_s, seconds_in
    from tts_compare.submit.kubernetes import Pod, manifest_of, yaml_of
    from tts_compare.submit.words import flags_of

    kept = asked.to_keep()
    if kept["config"] and Path(kept["config"]).is_file():
        talk(f"warning: the pod does not see {kept['config']}: put it into the image, at the same path")
    widest = max((setting.devices or 1 for setting in prepared.settings), default=1)
    on_gpus = any(setting.device == "cuda" and setting.devices for setting in prepared.settings)
    stated = seconds_in(arguments.time) if arguments.time else limit_s(prepared.settings, design, rounds=1)
    pod = Pod(
        name=prepared.experiment.name,
        image=arguments.image,
        claim=arguments.claim,
        flags=flags_of(kept["config"], kept["flags"]),
        devices=widest if on_gpus else 0,
        cores=CLIENT_CORES + widest * (CORES_A_GPU if on_gpus else 1),
        max_attempts=arguments.max_attempts,
        deadline_s=stated,
        secret=arguments.secret,
    )
    return yaml_of(manifest_of(pod))
