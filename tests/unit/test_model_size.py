"""A model's size is that of the weights that engines load, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tts_compare.experiment.models import weight_bytes


@pytest.mark.parametrize(
    ("files", "size"),
    [
        ({"model-00001-of-00002.safetensors": 60, "model-00002-of-00002.safetensors": 40}, 100),
        ({"model.safetensors": 100, "pytorch_model.bin": 100}, 100),
        ({"model-00001-of-00001.safetensors": 100, "consolidated.safetensors": 100}, 100),
        ({"consolidated-00001-of-00002.safetensors": 60, "consolidated-00002-of-00002.safetensors": 40}, 100),
        ({"pytorch_model.bin": 100}, 100),
        ({"config.json": 100}, None),
    ],
)
def test_weights_that_a_repository_carries_twice_are_counted_once(
    tmp_path: Path, files: dict[str, int], size: int | None
) -> None:
    for name, length in files.items():
        (tmp_path / name).write_bytes(b"x" * length)
    assert weight_bytes(tmp_path) == size
