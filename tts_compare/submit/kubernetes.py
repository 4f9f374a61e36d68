"""A Kubernetes Job in which one pod runs the whole tool: servers, client and report. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """What the manifest of a Job is made of."""

    name: str
    """The run's name."""
    image: str
    """An image that holds tts-compare and its engines."""
    claim: str
    """The PersistentVolumeClaim that keeps the run directory."""
    flags: tuple[str, ...]
    """The experiment's flags."""
    devices: int
    """GPUs of the pod; 0 for none."""
    cores: int
    """Processor cores of the pod."""
    max_attempts: int = 4
    """Pods that may be started one after another."""
    deadline_s: int | None = None
    """Seconds that all of them may take together."""
    secret: str | None = None
    """A Secret whose entries become variables: keys of endpoints or of the hub."""


def manifest_of(pod: Pod) -> dict[str, Any]:
    """The Job as Kubernetes' API takes it."""
    name = re.sub(r"[^a-z0-9-]+", "-", f"tts-{pod.name}".lower()).strip("-")[:50].rstrip("-")
    limits: dict[str, str] = {"cpu": str(pod.cores)} | ({"nvidia.com/gpu": str(pod.devices)} if pod.devices else {})
    container: dict[str, Any] = {
        "name": "tts-compare",
        "image": pod.image,
        # A pod that is started again goes on with what its predecessor left.
        "command": ["tts-compare", "run", *pod.flags, "--resume", f"/runs/{name}", "--quiet"],
        "resources": {"limits": limits, "requests": limits},
        "volumeMounts": [{"name": "runs", "mountPath": "/runs"}, {"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108
    }
    if pod.secret:
        container["envFrom"] = [{"secretRef": {"name": pod.secret}}]
    spec: dict[str, Any] = {"backoffLimit": pod.max_attempts - 1}
    if pod.deadline_s:
        spec["activeDeadlineSeconds"] = pod.deadline_s
    spec["template"] = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            # Time for the run to end its requests and its servers.
            "terminationGracePeriodSeconds": 120,
            "containers": [container],
            "volumes": [
                {"name": "runs", "persistentVolumeClaim": {"claimName": pod.claim}},
                # The default of 64 MB is too little for ranks that talk over shared memory.
                {"name": "shm", "emptyDir": {"medium": "Memory"}},
            ],
        },
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def yaml_of(value: dict[str, Any]) -> str:
    """A mapping as YAML in block style; scalars are quoted as JSON, which is YAML."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any, indent: str = "") -> Sequence[str]:
    found: list[str] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list) and inner:
                found += [f"{indent}{key}:", *_lines(inner, indent + "  ")]
            else:
                found.append(f"{indent}{key}: {json.dumps(inner, ensure_ascii=False)}")
        return found
    for inner in value:
        lines = (
            _lines(inner, indent + "  ") if isinstance(inner, dict | list) else [json.dumps(inner, ensure_ascii=False)]
        )
        found += [f"{indent}- {lines[0].lstrip()}", *lines[1:]]
    return found
