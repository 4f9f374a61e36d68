"""What is known of a model before anything starts: its shape and its revision."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tts_compare.backends import ModelFacts, model_facts
from tts_compare.errors import UsageError
from tts_compare.methods.model_files import model_dir
from tts_compare.models.known import known_facts

_WEIGHTS = ("*.safetensors", "*.bin")


def check_model(model: str) -> None:
    """Raises UsageError where a model reads as a path and there is no model at it.

    A name on the hub is ``owner/name`` or a bare name; everything else is a path: a directory, or one GGUF file.
    """
    path = Path(model)
    if path.suffix == ".gguf" and path.is_file():
        return
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(f"{model} is no model: the directory has no config.json")
        return
    if model.startswith((".", "/", "~")) or model.count("/") > 1 or path.exists():
        raise UsageError(f"there is no model at {model}: give a directory with a config.json, or a name on the hub")
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined] # not in its __all__

    try:
        validate_repo_id(model)
    except HFValidationError as error:
        raise UsageError(f"{model} is no directory, and no name on the hub: {error}") from None


def facts_of(model: str, revision: str | None = None, *, fetch: bool = True) -> ModelFacts | None:
    """The model's shape from its config.json; None where that is not to be had.

    fetch: the small files of a model on the hub may be fetched; else what its cache holds is read, and of a model that
    is not there, the table of published shapes.
    """
    directory = directory_of(model, revision, fetch=fetch)
    if directory is None or not (directory / "config.json").is_file():
        return None if fetch else known_facts(model)
    try:
        config = json.loads((directory / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{directory / 'config.json'} cannot be read: {error}") from error
    return model_facts(config, weight_bytes(directory))


def directory_of(model: str, revision: str | None, *, fetch: bool) -> Path | None:
    """Where the model's small files are: its own directory, or the hub's cache; None where neither has them."""
    if Path(model).is_dir():
        return Path(model)
    if Path(model).is_file():
        return None
    if fetch:
        return model_dir(model, revision=revision)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json", revision=revision) if model.count("/") == 1 else None
    return Path(found).parent if isinstance(found, str) else None


def weight_bytes(directory: Path) -> int | None:
    """Bytes of the weight files of the first kind found, None where there are none.

    Mistral's repositories carry them twice: ``consolidated*`` are the same in its own format.
    """
    for pattern in _WEIGHTS:
        found = [*directory.glob(pattern)]
        kept = [file for file in found if not file.name.startswith("consolidated")] or found
        if kept:
            return sum(file.stat().st_size for file in kept)
    return None


def revision_of(model: str, revision: str | None = None) -> str | None:
    """The commit of a model: of the git checkout it lies in, or of the hub's cache; None where there is none."""
    if not Path(model).is_dir():
        cached = directory_of(model, revision, fetch=False)
        return cached.name if cached else revision
    if not (Path(model) / ".git").exists():
        return None
    done = subprocess.run(
        ["git", "-C", model, "rev-parse", "HEAD"],  # noqa: S607 - git is found where the user has it
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None
