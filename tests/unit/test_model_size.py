"""A model's size is that of the weights that engines load, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tts_compare.backends.facts import model_facts
from tts_compare.plan.model_facts import weight_bytes


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


@pytest.mark.parametrize("more", [{"quantization_config": {"bits": 4}}, {"num_experts": 64}, {"num_local_experts": 8}])
def test_active_parameters_of_quantised_weights_and_of_experts_are_not_read_off_the_files(more: dict[str, Any]) -> None:
    plain = model_facts({"dtype": "bfloat16"}, 2000)
    assert (plain.parameters, plain.active_parameters) == (1000, 1000)
    assert model_facts({"dtype": "bfloat16", **more}, 2000).active_parameters is None
