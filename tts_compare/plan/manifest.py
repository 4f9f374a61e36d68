"""The manifest: what was run, on what, with what; and what must be the same for a run to be resumed."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from msgspec import structs

from tts_compare import __version__
from tts_compare.backends import ModelFacts
from tts_compare.domain import Setting
from tts_compare.errors import UsageError
from tts_compare.launchers import manifest_facts
from tts_compare.limits.retry import RETRYABLE, RetryPolicy
from tts_compare.plan.model_facts import revision_of
from tts_compare.plan.prepare import Prepared
from tts_compare.rundir.facts import (
    DatasetFacts,
    ExperimentFacts,
    LimitFacts,
    ModelRow,
    PromptFacts,
    RetryFacts,
    SamplingFacts,
    SettingFacts,
    SkippedFacts,
)
from tts_compare.rundir.manifest import FORMAT, Asked, Clock, Manifest, Session
from tts_compare.rundir.store import RunDir, check_beginning, read_manifest

#: Variables that change what an engine or a client does.
_ENVIRONMENT = ("OMP_NUM_THREADS", "HF_HUB_OFFLINE", "HF_HOME", "HTTPS_PROXY", "HTTP_PROXY")
_PREFIXES = ("CUDA_", "VLLM_", "SGLANG_", "NCCL_", "TORCH_")
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_LIBRARIES = ("httpx", "httptools", "uvloop", "openai", "datasets", "polars", "math-verify")


def new_manifest(prepared: Prepared, *, name: str, command: Sequence[str], asked: Mapping[str, Any]) -> Manifest:
    """The manifest as it is before the first server starts; servers add what they told."""
    experiment = prepared.experiment
    clock = Clock(wall_ns=time.time_ns(), monotonic_ns=time.monotonic_ns())
    prompt = asdict(prepared.prompt)
    return Manifest(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tts_compare_version=__version__,
        command=tuple(command),
        asked=Asked(config=asked.get("config"), flags=json.loads(json.dumps(asked.get("flags") or {}))),
        state="running",
        experiment=experiment_facts(prepared),
        settings={setting.id: setting_facts(setting) for setting in prepared.settings},
        left_out=tuple(SkippedFacts(setting=item.setting.id, reason=item.reason) for item in prepared.left_out),
        models={setting.model: model_row(prepared.facts[setting.model]) for setting in prepared.settings},
        dataset=DatasetFacts(
            name=prepared.dataset.name,
            path=prepared.dataset.path,
            sha256=prepared.dataset.sha256,
            problems=tuple(prepared.dataset.problems),
        ),
        prompt=PromptFacts(**prompt, sha256=prepared.prompt.sha256),
        chat_templates={model: how.template for model, how in prepared.prompting.items() if how.template},
        sampling=SamplingFacts(**asdict(experiment.sampling)),
        seeds={"sampling": experiment.sampling.seed, "pacing": experiment.sampling.seed},
        clock=clock,
        sessions=(Session(clock=clock, command=tuple(command)),),
        machine=manifest_facts(prepared.machine),
        software=software(),
        environment=environment(os.environ),
        doubts=tuple(prepared.doubts),
    )


def experiment_facts(prepared: Prepared) -> ExperimentFacts:
    """What was asked, with defaults filled in."""
    experiment = prepared.experiment
    return ExperimentFacts(
        budgets=tuple(experiment.budgets),
        curve="single-pass" if any(item.derived_budgets for item in prepared.work) else "per-budget",
        work=tuple(prepared.work),
        methods=tuple(item.method for item in prepared.work),
        samples=experiment.samples,
        repeats=experiment.repeats,
        rounds=experiment.rounds,
        shares=dict(prepared.shares) if experiment.rounds > 1 else {},
        loads=tuple(experiment.loads),
        policy=experiment.policy,
        grader=experiment.grader,
        gpu_hour_usd=experiment.gpu_hour_usd,
        budget_usd=experiment.budget_usd,
        limits=LimitFacts(**asdict(experiment.limits)),
        retry=retry_rules(experiment.max_restarts),
        problems=experiment.problems,
        workers=experiment.workers,
    )


def retry_rules(max_restarts: int) -> RetryFacts:
    """When a failed attempt is followed by another, and how often a server that died is started again in a round."""
    return RetryFacts(**asdict(RetryPolicy()), kinds=tuple(sorted(RETRYABLE)), max_restarts=max_restarts)


def setting_facts(setting: Setting) -> SettingFacts:
    """A setting expanded; of headers, which may hold secrets, the names alone."""
    stated: dict[str, Any] = {field.name: getattr(setting, field.name) for field in fields(setting)}
    own: dict[str, Any] = {
        "headers": tuple(name for name, _ in setting.headers),
        "devices": setting.devices,
        "device": None if setting.hosted else setting.device,
        "revision": None if setting.hosted else revision_of(setting.model, setting.revision),
    }
    return SettingFacts(**stated | own)


def model_row(facts: ModelFacts | None) -> ModelRow:
    """A model's shape under the names the FLOPs formula reads."""
    if facts is None:
        return ModelRow()
    return ModelRow(**asdict(facts), num_layers=facts.layers, num_heads=facts.heads, num_kv_heads=facts.kv_heads)


def software() -> dict[str, str]:
    """Versions of ourselves, of Python and of the libraries that a figure rests on."""
    versions = {"python": platform.python_version(), "platform": sys.platform, "kernel": platform.release()}
    for library in _LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return versions


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that matter, whatever may be a secret masked."""
    kept = {key: value for key, value in variables.items() if key in _ENVIRONMENT or key.startswith(_PREFIXES)}
    return {
        key: "***" if any(word in key for word in _SECRET_WORDS) or "@" in value else value
        for key, value in sorted(kept.items())
    }


def check_same(old: Manifest, new: Manifest) -> None:
    """Raises UsageError where rows of the two would not be rows of one run.

    What must be equal is what determines a row: our version, the data set, the prompt, the sampling, and each
    setting and method that both have. Budgets, samples, methods and settings may be added: they are in the rows' keys.
    """
    changed = [what for what, (before, now) in _same(old, new).items() if before != now]
    for setting in old.settings.keys() & new.settings.keys():
        sides = [manifest.settings[setting] for manifest in (old, new)]
        changed += [
            f"{name} of {setting}" for name in _DETERMINING if getattr(sides[0], name) != getattr(sides[1], name)
        ]
    before_asking, asking = _asking(old), _asking(new)
    changed += [
        f"what {method} asks with"
        for method in before_asking.keys() & asking.keys()
        if before_asking[method] != asking[method]
    ]
    if changed:
        raise UsageError(
            f"this run cannot be resumed, because {', '.join(sorted(changed))} changed since: "
            "start a new one with --out, or repeat the first command's flags"
        )


def is_resumable(path: Path) -> bool:
    """Whether a run begun in this directory can go on; False where it is missing or empty, and a new run begins.

    Raises UsageError for a directory of something else, and for a run of a format that is only read.
    """
    run = RunDir(path)
    if not run.manifest.is_file():
        check_beginning(path, "--resume goes on with a run, and begins one in a directory that is missing or empty")
        return False
    found = read_manifest(run).format
    if found != FORMAT:
        raise UsageError(
            f"{path} is a run of format {found}, which this version reads and does not write: report it as it is, and "
            "start a new run with --out"
        )
    return True


def additions(path: Path, prepared: Prepared) -> tuple[str, ...]:
    """The settings that a resumed run adds to those in the directory; none for a new run."""
    run = RunDir(path)
    if not run.manifest.is_file():
        return ()
    known = read_manifest(run).settings
    return tuple(setting.id for setting in prepared.settings if setting.id not in known)


def _same(old: Manifest, new: Manifest) -> dict[str, tuple[object, object]]:
    """What must be equal of two manifests, by the name that the user is told."""
    return {
        "the version of tts-compare": (old.tts_compare_version, new.tts_compare_version),
        "the data set": (old.dataset.sha256, new.dataset.sha256),
        "the prompt": (old.prompt.sha256, new.prompt.sha256),
        "the sampling": (old.sampling, new.sampling),
        "the problems": ([p.id for p in old.dataset.problems], [p.id for p in new.dataset.problems]),
        "the limits or the retry rules of a request": (_rules(old), _rules(new)),
        "the number of rounds": (old.experiment.rounds, new.experiment.rounds),
    }


def _asking(manifest: Manifest) -> dict[str, tuple[object, object]]:
    """By method its sampling and its options, but for those by which an answer is chosen afterwards."""
    return {
        item.method: (
            item.sampling,
            {name: value for name, value in item.options if not name.startswith(_CHOOSING)},
        )
        for item in manifest.experiment.work
    }


def _rules(manifest: Manifest) -> tuple[LimitFacts, RetryFacts]:
    """What bounds one request: failures under other bounds would be other results."""
    limits, retry = manifest.experiment.limits or LimitFacts(), manifest.experiment.retry or RetryFacts()
    return structs.replace(limits, start_s=None), structs.replace(retry, max_restarts=None)


_DETERMINING = (
    "version",
    "model",
    "revision",
    "device",
    "dtype",
    "max_model_len",
    "max_num_seqs",
    "prefix_caching",
    "threads_per_rank",
    "nodes",
    "engine_args",
    "base_url",
)
#: Options of ``best_of_n`` that change no request.
_CHOOSING = ("scores", "weighted")
