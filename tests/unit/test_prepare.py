"""What is known before a server starts: models, and how long it may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.standin import model_directory
from tts_compare.config import load_experiment
from tts_compare.errors import UsageError
from tts_compare.experiment.prepare import Prepared, prepare

URL = "http://127.0.0.1:9/v1"


def prepared(home: Path, **given: Any) -> Prepared:
    stated = {"backend": "vllm", "model": str(model_directory(home)), "dataset": "quickstart", "budget": "8"}
    return prepare(load_experiment(None, stated | given, environ={}), fetch=False)


@pytest.mark.parametrize("backend", ["vllm,openai", "openai,vllm"])
def test_a_model_is_known_though_a_hosted_setting_has_the_same_name(backend: str, tmp_path: Path) -> None:
    alone = prepared(tmp_path).facts
    assert None not in alone.values()
    assert prepared(tmp_path, backend=backend, base_url=URL).facts == alone


def test_a_path_on_the_machine_of_an_attached_server_names_its_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model at /models/m"):
        prepared(tmp_path, model="/models/m")
    (setting,) = prepared(tmp_path, model="/models/m", attach=["vllm=http://127.0.0.1:9"]).settings
    assert setting.model == "/models/m"
