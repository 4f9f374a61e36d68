"""What is known of a model before anything starts: its shape, its weights' size, its chat template's home."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tts_compare.backends.facts import ModelFacts, model_facts
from tts_compare.errors import UsageError

_WEIGHTS = ("*.safetensors", "*.bin")


def model_dir(model: str) -> Path | None:
    """The directory a model's name means, None where it is a name on the hub.

    Raises UsageError where it reads as a path and nothing is there.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(f"{model} is no model: the directory has no config.json")
        return path
    looks_like_path = model.startswith((".", "/", "~")) or model.count("/") != 1 or path.exists()
    if looks_like_path and not _is_bare_name(model):
        raise UsageError(f"there is no model at {model}: give a directory with a config.json, or a name on the hub")
    return None


def _is_bare_name(model: str) -> bool:
    return "/" not in model and not model.startswith((".", "~"))


def facts_of(model: str, revision: str | None = None) -> ModelFacts | None:
    """The model's shape from its config.json: the directory's, or what the hub's cache already holds.

    None where neither has it; nothing is fetched. Raises UsageError where a path holds no model.
    """
    directory = model_dir(model)
    config = directory / "config.json" if directory else _cached(model, revision)
    if config is None:
        return None
    try:
        parsed = json.loads(config.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{config} cannot be read: {error}") from error
    return model_facts(parsed, weight_bytes(config.parent))


def weight_bytes(directory: Path) -> int | None:
    """Bytes of the weight files of the first kind found, None where there are none."""
    for pattern in _WEIGHTS:
        sizes = [file.stat().st_size for file in directory.glob(pattern)]
        if sizes:
            return sum(sizes)
    return None


def _cached(model: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def revision_of(model: str, revision: str | None = None) -> str | None:
    """The commit of a model: of the git checkout it lies in, or of the hub's cache; None where there is none."""
    directory = model_dir(model)
    if directory is None:
        cached = _cached(model, revision)
        return cached.parent.name if cached else revision
    if not (directory / ".git").exists():
        return None
    done = subprocess.run(
        ["git", "-C", str(directory), "rev-parse", "HEAD"],  # noqa: S607 - git is found where the user has it
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None
